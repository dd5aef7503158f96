//! The suite that every store passes: one function for each rule, named after it.
//!
//! A rule gets an empty store and panics where the store breaks it.

use std::sync::Arc;

use super::Store;

mod accepting;
mod audit;
mod deliveries;
mod expiry;
mod insight;
mod jobs;
mod keys;
mod kit;
mod media;
mod monitoring;
mod plugins;
mod paths;
mod pruning;
mod queue;
mod registry;
mod replies;
mod resources;
mod rules;
mod state;
mod usage;

/// Runs each rule, by path, on a fresh store.
macro_rules! each {
    ($make:ident: $($rule:path),* $(,)?) => {
        $( $rule($make().await).await; )*
    };
}

/// Runs every rule, each on a fresh and empty store that `make` makes.
///
/// # Panics
/// The store breaks a rule.
pub async fn exercise<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    each!(make:
        accepting::an_event_reads_back_as_it_was_accepted,
        accepting::an_event_of_another_tenant_is_unknown,
        accepting::answers_are_in_the_order_of_the_events,
        accepting::equal_keys_in_one_call_are_duplicates,
        accepting::a_key_belongs_to_one_tenant,
        accepting::concurrent_accepts_of_one_key_store_one_event,
        accepting::all_events_of_a_call_are_accepted_or_none,
        accepting::events_are_listed_newest_first_in_pages,
        accepting::event_filters_restrict,
        accepting::a_call_has_failed_until_a_record_says_otherwise,
        accepting::the_last_id_counts_planned_deliveries,
        deliveries::a_planned_delivery_is_pending_before_it_has_a_row,
        deliveries::a_first_outcome_moves_a_delivery,
        deliveries::attempts_are_kept_in_order,
        deliveries::recording_an_attempt_again_replaces_it,
        deliveries::the_latest_attempts_are_kept,
        deliveries::only_to_wait_makes_a_row_but_never_changes_one,
        deliveries::deliveries_are_listed_newest_first_in_pages,
        deliveries::delivery_filters_restrict,
        deliveries::the_deliveries_of_an_event_are_listed_with_and_without_row,
        deliveries::deliveries_of_another_tenant_are_unknown,
        queue::waiting_deliveries_are_due_at_once,
        queue::due_is_in_order_of_time_then_acceptance,
        queue::due_leaves_out_what_is_skipped_or_later,
        queue::due_counts_to_its_limit_and_tells_what_is_next,
        queue::due_carries_attempts_and_frozen_messages,
        queue::waiting_tells_the_earliest_of_each_endpoint,
        queue::unfinished_lists_deliveries_without_a_row,
        queue::unfinished_goes_on_after_a_page,
        queue::the_checkpoint_is_remembered,
        queue::how_far_the_clocks_are_apart_is_remembered,
        queue::a_retry_makes_any_delivery_with_a_row_due,
        queue::a_retry_of_what_is_in_flight_or_unknown_says_so,
        queue::an_attempt_ends_a_manual_retry,
        queue::giving_up_fails_what_is_pending,
        queue::cancelling_ends_what_waits_for_one_endpoint_in_bites,
        jobs::walks_go_from_the_oldest_in_parts,
        jobs::filters_look_into_payloads_and_at_last_attempts,
        jobs::a_replay_is_a_new_delivery_of_an_old_event,
        jobs::a_replay_goes_with_its_event_and_not_before,
        jobs::what_is_called_off_is_not_made_pending_again,
        jobs::a_step_is_done_once,
        jobs::a_tenant_has_no_more_jobs_than_it_may,
        jobs::a_job_that_was_cancelled_does_nothing_more,
        jobs::erasing_leaves_ids_and_states_alone,
        pruning::the_oldest_go_first_in_bites,
        pruning::what_is_pending_or_in_flight_stays,
        pruning::a_checkpoint_lets_rowless_events_go,
        pruning::attempts_go_with_their_delivery,
        pruning::ids_are_not_given_twice_after_pruning,
        pruning::a_key_is_forgotten_after_its_window,
        expiry::only_what_its_tenant_keeps_no_longer_goes_in_bites,
        expiry::what_had_to_stay_goes_once_it_is_over,
        expiry::who_keeps_for_longer_again_loses_nothing_more,
        registry::a_name_keeps_its_id,
        registry::the_first_secrets_are_kept,
        registry::an_endpoint_is_disabled_until_it_is_enabled,
        registry::what_a_receiver_has_failed_at_is_kept_until_it_is_forgotten,
        registry::secrets_rotate_with_what_retires,
        paths::paths_are_kept_with_their_deed,
        paths::paths_go_with_their_source,
        keys::keys_are_revoked_once,
        keys::keys_are_listed_newest_first_in_pages,
        keys::a_key_belongs_to_one_tenant,
        keys::keys_are_counted_and_forgotten_when_they_ended,
        resources::a_resource_reads_back_as_it_was_saved,
        resources::a_resource_belongs_to_one_tenant_and_kind,
        resources::of_two_changes_of_one_revision_the_first_counts,
        resources::a_name_is_free_again_once_its_owner_is_deleted,
        resources::resources_are_listed_newest_first_in_pages,
        resources::what_was_deleted_long_ago_is_forgotten,
        resources::of_many_that_were_deleted_the_latest_are_kept,
        rules::a_change_is_due_at_once_with_what_was_before,
        rules::a_change_is_only_told_from_and_to_what_is_wanted,
        rules::a_duplicate_changes_nothing,
        rules::a_timer_moves_but_not_past_its_longest_wait,
        rules::timers_of_one_key_may_be_several_and_are_cancelled_together,
        rules::a_timer_emits_one_event,
        rules::a_timer_that_was_moved_or_cancelled_emits_nothing,
        rules::due_timers_count_to_their_limit_and_tell_what_is_next,
        rules::an_event_stays_while_a_timer_is_armed_by_it,
        rules::the_key_seen_longest_ago_makes_room,
        rules::a_tenant_has_no_more_timers_than_it_may,
        rules::keys_are_listed_in_order_in_pages,
        rules::what_is_kept_of_a_version_is_forgotten_in_bites,
        insight::a_test_is_kept_whole_and_marked,
        insight::where_an_event_went_is_told_to_its_tenant,
        insight::inspectors_are_kept_until_they_are_removed,
        insight::what_is_recent_leaves_tests_out,
        monitoring::counts_add_up_by_time_and_by_subject,
        monitoring::counts_are_forgotten_by_step_and_age_in_bites,
        monitoring::what_waits_is_counted_with_its_oldest,
        monitoring::what_is_expected_is_told_oldest_first_whatever_became_of_it,
        monitoring::what_waits_is_fetched_until_it_is_acknowledged,
        monitoring::an_alert_fires_until_it_does_not,
        resources::with_a_tenant_goes_all_that_it_had,
        usage::what_is_there_counts_and_so_does_what_comes,
        usage::what_is_removed_is_taken_off,
        jobs::erasing_takes_off_what_was_stored,
        usage::only_tenants_that_are_metered_are_counted,
        usage::everything_has_an_owner,
        media::a_file_is_there_once_it_is_finished,
        media::the_same_bytes_are_kept_once_and_as_long_as_was_asked,
        media::of_two_that_are_written_at_once_one_is_kept,
        media::there_is_room_for_so_much_in_a_tenant_and_in_all,
        media::what_is_over_or_given_up_is_told_until_it_is_forgotten,
        media::a_file_is_removed_by_its_tenant_with_the_deed,
        media::files_are_listed_newest_first_in_pages,
        media::the_first_key_for_addresses_is_kept,
        media::with_a_tenant_go_its_files,
        plugins::a_plugin_reads_back_with_its_versions_newest_first,
        plugins::a_plugin_belongs_to_one_tenant,
        plugins::a_version_goes_by_itself_and_the_last_with_its_plugin,
        plugins::tags_rollouts_and_signatures_read_back,
        audit::each_tenant_has_a_chain_of_its_own,
        audit::entries_are_listed_newest_first_by_what_is_asked,
        audit::pages_of_large_entries_are_short,
        audit::what_is_forgotten_leaves_a_chain_behind,
        audit::a_job_is_started_with_its_deed_or_neither_is,
        audit::a_resource_is_saved_with_its_deed_or_neither_is,
        replies::the_first_to_claim_a_name_has_it,
        replies::a_reply_is_given_to_the_same_request_alone,
        replies::a_name_is_free_again_once_it_is_freed_or_forgotten,
        state::a_value_is_read_until_its_time,
        state::scopes_do_not_see_each_other,
        state::a_claim_is_won_once_until_it_ends,
        state::concurrent_claims_have_one_winner,
        state::a_counter_adds_up_and_keeps_its_first_time,
        state::a_swap_needs_the_expected_value,
        state::a_scope_holds_no_more_than_its_quota,
        state::deleting_and_expiring_make_room,
        state::keys_are_listed_in_byte_order,
        state::pruning_removes_what_is_past_its_time,
    );
}
