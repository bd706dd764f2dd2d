//! The contract of a store: every test here runs against both backends, Redis with a real server.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/raw_store.rs"]
mod raw_store;
#[path = "support/redis_server.rs"]
mod redis_server;

#[path = "store_contract/accounts.rs"]
mod accounts;
#[path = "store_contract/attempts.rs"]
mod attempts;
#[path = "store_contract/audit_log.rs"]
mod audit_log;
#[path = "store_contract/batches.rs"]
mod batches;
#[path = "store_contract/bundles.rs"]
mod bundles;
#[path = "store_contract/bus.rs"]
mod bus;
#[path = "store_contract/claims.rs"]
mod claims;
#[path = "store_contract/code_secrecy.rs"]
mod code_secrecy;
#[path = "store_contract/codes.rs"]
mod codes;
#[path = "store_contract/devices.rs"]
mod devices;
#[path = "store_contract/directory.rs"]
mod directory;
#[path = "store_contract/domains.rs"]
mod domains;
#[path = "store_contract/faults.rs"]
mod faults;
#[path = "store_contract/figures.rs"]
mod figures;
#[path = "store_contract/fixture.rs"]
mod fixture;
#[path = "store_contract/instance_keys.rs"]
mod instance_keys;
#[path = "store_contract/jobs.rs"]
mod jobs;
#[path = "store_contract/keyspace.rs"]
mod keyspace;
#[path = "store_contract/locks.rs"]
mod locks;
#[path = "store_contract/mailbox.rs"]
mod mailbox;
#[path = "store_contract/misdirected.rs"]
mod misdirected;
#[path = "store_contract/offers.rs"]
mod offers;
#[path = "store_contract/presence.rs"]
mod presence;
#[path = "store_contract/quotas.rs"]
mod quotas;
#[path = "store_contract/rollouts.rs"]
mod rollouts;
#[path = "store_contract/timelines.rs"]
mod timelines;
#[path = "store_contract/tls_ticket_keys.rs"]
mod tls_ticket_keys;
#[path = "store_contract/unassigned.rs"]
mod unassigned;
#[path = "store_contract/users_role.rs"]
mod users_role;
#[path = "store_contract/web_sessions.rs"]
mod web_sessions;
#[path = "store_contract/whole.rs"]
mod whole;

/// Makes two tests of each body, one on each backend.
macro_rules! contract {
    ($($module:ident: $($test:ident),+;)+) => {
        mod on_file {
            $(mod $module {
                use crate::fixture::Fixture as _;
                $(#[tokio::test]
                async fn $test() {
                    crate::$module::$test(crate::fixture::OnFile::start().await).await;
                })+
            })+
        }
        mod on_redis {
            $(mod $module {
                use crate::fixture::Fixture as _;
                $(#[tokio::test]
                async fn $test() {
                    crate::$module::$test(crate::fixture::OnRedis::start().await).await;
                })+
            })+
        }
    };
}

contract! {
    accounts:
        an_account_is_kept_once;
    attempts:
        wrong_attempts_of_all_nodes_count_for_a_minute,
        a_report_counts_once,
        all_nodes_together_get_so_many_decisions_a_second;
    audit_log:
        audit_entries_are_listed_newest_first,
        the_audit_log_is_bounded;
    batches:
        many_devices_are_found_at_once,
        many_members_come_and_go_at_once,
        a_device_may_come_several_times_at_once;
    bundles:
        a_lent_code_lets_nobody_in,
        a_loan_is_settled_by_its_site,
        a_carried_device_keeps_way_and_time,
        a_carried_timeline_replaces_what_was_there,
        what_is_remembered_changes_only_as_it_was_read;
    bus:
        signals_reach_every_subscriber;
    claims:
        a_device_enters_whole,
        of_two_devices_exactly_one_enters,
        of_two_domains_exactly_one_gets_the_device,
        the_same_device_may_come_back_until_it_has_answered,
        the_same_device_may_come_back_within_the_validity_only,
        a_device_of_another_domain_is_refused_and_the_code_stays_open,
        an_expired_code_lets_nobody_in,
        a_code_lets_nobody_into_another_domain,
        entering_again_keeps_the_number,
        an_automatic_entry_keeps_its_own_administrative_password,
        a_second_code_does_not_lose_the_notice_of_the_first,
        a_name_comes_with_a_code_unless_there_is_one_by_hand,
        a_port_takes_a_code;
    code_secrecy:
        a_code_is_readable_nowhere;
    codes:
        a_code_is_kept_and_found,
        a_code_is_kept_once,
        open_codes_are_limited_by_kind,
        an_open_code_ends_with_its_validity,
        a_used_code_is_known_for_thirty_days,
        the_holder_of_a_code_can_change,
        codes_are_listed_newest_first,
        a_listed_code_ends_with_its_record,
        a_revoked_code_is_as_if_it_had_never_been,
        a_used_code_cannot_be_revoked,
        a_code_without_a_holder_is_for_anybody;
    devices:
        a_password_is_confirmed_once,
        facts_are_refreshed,
        a_removed_device_is_free,
        pages_give_every_device_once,
        a_list_shows_who_is_online,
        a_removed_device_leaves_the_list,
        a_name_and_a_category_are_given,
        the_path_of_an_app_ip_is_set_kept_and_removed,
        an_entry_again_keeps_name_and_work,
        work_belongs_to_an_entry,
        ports_are_listed_and_forgotten,
        a_device_moves_whole,
        a_move_of_a_device_that_is_elsewhere_changes_nothing,
        a_move_does_not_lose_the_notice,
        a_move_may_be_repeated;
    directory:
        a_listing_leads_to_its_address_until_its_end,
        a_listed_code_is_not_used_again_for_thirty_days,
        only_its_credential_ends_a_listing,
        open_listings_are_limited_by_credential,
        an_answer_is_remembered_for_ten_minutes,
        the_first_contact_is_told_from_later_ones,
        contacts_of_strangers_are_capped_and_others_stay,
        a_code_protects_a_few_phones_only;
    domains:
        domains_are_made_once,
        a_domain_is_made_changed_and_deleted,
        access_is_given_and_ends_with_the_domain_that_gave_it,
        a_deleted_domain_leaves_nothing_behind,
        of_two_categories_of_one_name_exactly_one_is_made,
        categories_are_changed_and_deleted,
        the_revision_changes_with_every_change;
    figures:
        figures_are_those_of_all_domains,
        members_count_while_their_node_lives;
    jobs:
        jobs_are_kept_in_order,
        device_configurations_have_numbers,
        a_build_list_is_kept;
    locks:
        a_lock_has_one_holder_until_it_is_given_back,
        a_lock_ends_unless_it_is_renewed,
        of_many_exactly_one_holds_a_lock;
    mailbox:
        a_notice_is_deposited_once,
        overdue_notices_are_deposited,
        a_taken_notice_is_not_taken_by_another_node,
        of_two_nodes_exactly_one_takes,
        a_released_notice_may_be_taken_by_anybody,
        a_notice_for_a_live_node_is_left_to_it,
        a_lease_ends,
        taking_is_limited_and_skips,
        a_notice_ends_after_thirty_days;
    misdirected:
        misdirected_devices_are_counted_for_a_day;
    offers:
        an_offer_ends;
    presence:
        presence_follows_the_newest_connection,
        a_device_is_offline_when_its_node_is_dead;
    quotas:
        no_more_devices_enter_than_there_may_be,
        categories_and_jobs_are_counted,
        codes_are_counted_for_a_day,
        roll_outs_and_their_users_are_counted,
        accounts_and_offers_are_counted;
    rollouts:
        a_rollout_tells_what_becomes_of_its_codes,
        a_large_rollout_is_read_in_pages;
    timelines:
        a_timeline_keeps_its_newest_steps;
    tls_ticket_keys:
        keys_of_tickets_are_shared_and_rotated,
        of_many_new_keys_exactly_one_is_kept;
    unassigned:
        unassigned_devices_are_forgotten,
        an_unassigned_device_is_kept_while_it_is_online,
        unassigned_devices_are_listed_by_number,
        a_device_that_enters_is_not_unassigned,
        the_newest_connection_of_an_unassigned_device_counts,
        one_source_displaces_only_its_own_records,
        the_largest_source_gives_way_first,
        what_has_ended_or_entered_takes_no_place,
        an_unchanged_record_is_not_written_again;
    users_role:
        a_request_is_kept_and_found,
        a_request_gets_further_from_where_it_is,
        a_request_waits_as_long_as_its_notice_may_come,
        a_request_with_a_phone_stays,
        an_order_is_placed_once,
        of_many_notices_at_once_exactly_one_places_the_order,
        an_order_is_due_again_until_it_is_settled,
        an_order_that_has_failed_can_be_revived,
        a_rollout_of_people_is_made_and_followed,
        a_rollout_of_people_ends,
        of_two_nodes_one_has_the_turn,
        a_phone_has_one_request,
        a_person_has_only_so_many_open_codes;
    web_sessions:
        a_session_ends_when_it_is_idle,
        a_session_ends_at_last,
        sessions_are_ended_one_by_one_and_all_at_once,
        an_account_has_only_so_many_sessions;
    whole:
        the_store_answers_and_tells_the_time,
        another_master_key_is_refused;
}
