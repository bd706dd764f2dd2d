//! Rows, indexes and group commits of the file.

use std::sync::Mutex;

use redb::ReadableTableMetadata as _;

use super::*;

struct File {
    kv: Kv,
    now: Arc<Mutex<UnixMillis>>,
    _dir: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(Mutex::new(UnixMillis(1000)));
        let clock = now.clone();
        let kv = Kv::open(&dir.path().join("store.redb"), 1 << 20, Arc::new(move || *clock.lock().unwrap())).unwrap();
        Self { kv, now, _dir: dir }
    }

    fn rows(&self) -> u64 {
        let tx = redb::ReadableDatabase::begin_read(&*self.kv.db).unwrap();
        tx.open_table(redb::TableDefinition::<&str, &[u8]>::new("rows")).unwrap().len().unwrap()
    }
}

fn get(file: &File, key: &str) -> Option<u32> {
    file.kv.read(|snapshot| snapshot.get(key)).unwrap()
}

#[tokio::test]
async fn an_expired_row_is_invisible_at_once_and_removed_by_a_later_write() {
    let file = File::new();
    file.kv.write(|tx| tx.put("a", &1, Some(UnixMillis(2000)))).await.unwrap();
    file.kv.write(|tx| tx.put("b", &2, Some(UnixMillis(2000)))).await.unwrap();
    // The end of a row can be moved.
    file.kv.write(|tx| tx.put("b", &3, Some(UnixMillis(3000)))).await.unwrap();
    *file.now.lock().unwrap() = UnixMillis(2000);
    assert_eq!((get(&file, "a"), get(&file, "b"), file.rows()), (None, Some(3), 2));
    file.kv.write(|tx| tx.put("c", &4, None)).await.unwrap();
    assert_eq!((get(&file, "b"), get(&file, "c"), file.rows()), (Some(3), Some(4), 2));
}

#[tokio::test]
async fn an_index_counts_what_is_not_over() {
    let file = File::new();
    for (member, score) in [("a", 1000), ("b", 1500), ("c", 3000), ("a", 2500)] {
        file.kv.write(move |tx| tx.rank("index", score, member)).await.unwrap();
    }
    let count = || file.kv.read(|snapshot| snapshot.count_open("index")).unwrap();
    assert_eq!(count(), 3);
    *file.now.lock().unwrap() = UnixMillis(2500);
    assert_eq!(count(), 1);
    assert_eq!(file.kv.write(|tx| tx.count_open("index")).await.unwrap(), 1);
    file.kv.write(|tx| tx.unrank("index", "c")).await.unwrap();
    file.kv.write(|tx| tx.unrank("index", "c")).await.unwrap();
    assert_eq!(count(), 0);
}

/// Blocks the writer with one job, so that the jobs queued behind it become one group.
fn hold(file: &File) -> (std::sync::mpsc::Sender<()>, impl Future<Output = Result<()>>) {
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (held, holds) = std::sync::mpsc::channel();
    let answered = file
        .kv
        .send(move |_| {
            held.send(()).unwrap();
            gate.recv().unwrap();
            Ok(())
        })
        .unwrap();
    holds.recv().unwrap();
    (go, async { answered.await.unwrap() })
}

#[tokio::test]
async fn a_record_that_cannot_be_read_fails_its_job_only() {
    let file = File::new();
    file.kv.write(|tx| tx.put("text", &"x", None)).await.unwrap();
    let (go, first) = hold(&file);
    let before = file.kv.send(|tx| tx.put("before", &1, None)).unwrap();
    let bad = file.kv.send(|tx| tx.get::<u32>("text")).unwrap();
    let after = file.kv.send(|tx| tx.put("after", &2, None)).unwrap();
    go.send(()).unwrap();
    first.await.unwrap();
    before.await.unwrap().unwrap();
    assert!(matches!(bad.await.unwrap(), Err(StoreError::Corrupt { .. })));
    after.await.unwrap().unwrap();
    assert_eq!((get(&file, "before"), get(&file, "after")), (Some(1), Some(2)));
}

#[tokio::test]
async fn a_group_that_fails_changes_nothing_and_answers_nobody_with_success() {
    let file = File::new();
    let (go, first) = hold(&file);
    let good = file.kv.send(|tx| tx.put("good", &1, None)).unwrap();
    let bad = file.kv.send(|_| Err::<(), _>(Fault::File("disk on fire".into()))).unwrap();
    go.send(()).unwrap();
    first.await.unwrap();
    assert!(good.await.is_err() && bad.await.is_err());
    assert_eq!(get(&file, "good"), None);
    file.kv.write(|tx| tx.put("good", &2, None)).await.unwrap();
    assert_eq!(get(&file, "good"), Some(2));
    assert!(file.kv.is_well());
}

/// A caller whose write was acknowledged reads it, on any thread and with concurrent readers.
#[tokio::test]
async fn what_was_acknowledged_is_read_by_everybody() {
    let file = Arc::new(File::new());
    let stop = Arc::<AtomicBool>::default();
    let reading: Vec<_> = (0..2)
        .map(|_| {
            let (file, stop) = (file.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut last = None;
                while !stop.load(Ordering::Relaxed) {
                    let now = get(&file, "count");
                    assert!(now >= last, "{last:?} was read, and then {now:?}");
                    last = now;
                }
            })
        })
        .collect();
    for count in 0..100_u32 {
        file.kv.write(move |tx| tx.put("count", &count, None)).await.unwrap();
        assert_eq!(get(&file, "count"), Some(count));
    }
    stop.store(true, Ordering::Relaxed);
    for reader in reading {
        reader.join().unwrap();
    }
}

/// Readers open the tables once for each commit, and no old state is kept.
#[tokio::test]
async fn tables_are_opened_once_for_each_commit() {
    let file = File::new();
    let tables = || file.kv.read(|snapshot| Ok(snapshot.tables.clone())).unwrap();
    let first = tables();
    assert!(Arc::ptr_eq(&first, &tables()));
    file.kv.write(|tx| tx.put("a", &1, None)).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &tables()));
    assert_eq!(Arc::strong_count(&first), 1, "only the test still has it");
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let file = File::new();
    let (go, first) = hold(&file);
    let waiting: Vec<_> = (0..QUEUE).map(|_| file.kv.send(|_| Ok(())).unwrap()).collect();
    match file.kv.write(|_| Ok(())).await {
        Err(StoreError::Unavailable(why)) => assert_eq!(why, "too busy"),
        outcome => panic!("{outcome:?}"),
    }
    go.send(()).unwrap();
    first.await.unwrap();
    for answered in waiting {
        answered.await.unwrap().unwrap();
    }
}
