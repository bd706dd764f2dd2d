//! Wrong attempts and decisions over all nodes.

use provbroker::store::COUNTED_OVER;

use crate::fixture::*;

pub async fn wrong_attempts_of_all_nodes_count_for_a_minute(f: impl Fixture) {
    let store = f.store();
    assert_eq!(store.report_wrong("device_code", "a", 0).await.unwrap(), 0);
    assert_eq!(store.report_wrong("device_code", "a", 600).await.unwrap(), 600);
    assert_eq!(store.report_wrong("device_code", "b", 7).await.unwrap(), 607, "of another node");
    assert_eq!(store.report_wrong("token", "c", 1).await.unwrap(), 1, "of another kind");
    f.advance(COUNTED_OVER / 2).await;
    assert_eq!(store.report_wrong("device_code", "d", 3).await.unwrap(), 610);
    f.advance(COUNTED_OVER / 2).await;
    assert_eq!(store.report_wrong("device_code", "e", 0).await.unwrap(), 3);
    f.advance(COUNTED_OVER / 2).await;
    assert_eq!(store.report_wrong("device_code", "e", 0).await.unwrap(), 0);
}

/// On Redis the numbers are outside of the process anyway.
#[tokio::test]
async fn a_restart_forgets_no_wrong_attempts() {
    let mut f = OnFile::start().await;
    assert_eq!(f.store().report_wrong("device_code", "a", 600).await.unwrap(), 600);
    f.restart().await;
    assert_eq!(f.store().report_wrong("device_code", "b", 0).await.unwrap(), 600);
}

pub async fn a_report_counts_once(f: impl Fixture) {
    for _ in 0..3 {
        assert_eq!(f.store().report_wrong("device_code", "a", 5).await.unwrap(), 5, "repeated after a time-out");
    }
}

pub async fn all_nodes_together_get_so_many_decisions_a_second(f: impl Fixture) {
    let store = f.store();
    // The second may end while the test runs, but not twice.
    let mut got = 0;
    for _ in 0..20 {
        got += store.take_decisions("device_code", 3, 10).await.unwrap();
    }
    assert!((10..=20).contains(&got), "{got}");
    f.advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(store.take_decisions("device_code", 100, 10).await.unwrap(), 10);
    assert_eq!(store.take_decisions("token", 4, 10).await.unwrap(), 4);
}
