//! The coordinator over a real database, a real dashboard and real buildlet processes: one list of tests, run on SQLite
//! and (feature `postgres`) on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod alarms;
mod asides;
mod bounds;
mod channels;
mod clocks;
mod cuts;
mod faults;
mod fences;
mod held;
mod hooks;
mod identities;
mod landed;
mod legacy;
mod mirror;
mod orders;
mod original;
mod outbox;
mod outcomes;
#[cfg(feature = "postgres")]
#[path = "../../../store/tests/it/pg.rs"]
mod pg;
mod pools;
mod recipes;
mod replayed;
mod results;
mod reverse;
mod scopes;
mod shells;
mod signed;
mod sim_pool;
mod spread;
mod standings;
mod thousand;
mod untrusted;
mod upgrade;
mod wishes;
mod world;

testkit::on_both! {
    in crate::world::World;
    outbox:
        a_message_arrives_once_wherever_the_coordinator_dies,
        a_message_arrives_once_whatever_gerrit_does,
        what_is_given_up_is_shown_and_keeps_nothing_else,
        a_target_that_hangs_holds_up_no_other;
    standings:
        a_builder_that_breaks_is_told_once_and_so_is_that_it_is_mended,
        who_runs_the_server_sees_what_was_not_sent_and_has_it_sent;
    alarms:
        an_alarm_begins_and_ends_once_wherever_the_coordinator_dies;
    legacy:
        the_original_s_programs_are_answered;
    held:
        a_machine_is_held_used_and_given_back_clean,
        whoever_waits_is_told_why_and_leaves_no_trace_when_they_go,
        a_builder_of_a_repository_that_was_not_read_yet_is_waited_for,
        nobody_else_touches_or_prolongs_what_is_held,
        streams_end_when_what_was_shown_counts_no_longer,
        what_is_held_outlives_the_coordinator,
        the_machine_of_a_build_that_fails_is_held_as_it_is,
        who_runs_the_server_sees_what_everybody_holds,
        what_nobody_uses_is_given_back_and_what_is_lost_is_told;
    bounds:
        one_person_has_no_more_machines_than_configured,
        who_goes_away_while_the_coordinator_has_much_to_hear_is_let_go_of,
        one_person_waits_for_no_more_builds_to_fail_than_configured;
    scopes:
        a_token_for_some_repositories_reaches_their_machines_alone,
        a_hold_on_a_failed_build_is_of_the_builder_s_repository;
    wishes:
        a_wish_comes_true_for_who_may_still_have_it,
        an_admin_of_some_repositories_lets_go_of_builds_of_their_builders;
    shells:
        a_command_a_shell_and_files_go_through_the_door,
        nobody_else_is_let_in,
        no_port_is_forwarded,
        a_session_ends_with_the_hold,
        who_is_known_no_longer_is_out_and_let_in_no_more,
        a_machine_that_is_gone_is_told,
        what_is_seen_is_kept_if_that_is_configured;
    landed:
        what_has_not_landed_gets_no_secret,
        what_has_not_landed_is_built_without_secrets,
        what_may_have_landed_is_asked_again;
    untrusted:
        it_runs_where_such_work_is_taken_and_leaves_nothing,
        it_reaches_nothing_of_the_server_and_of_the_next,
        it_waits_while_no_host_takes_it;
    signed:
        what_somebody_wrote_into_the_database_is_not_run,
        nobody_has_a_machine_because_the_database_says_so,
        what_somebody_held_before_is_not_theirs_while_another_has_it,
        what_somebody_held_before_is_theirs_who_hold_it_now,
        a_worker_starts_nothing_for_a_stranger;
    orders:
        a_bad_order_is_answered_in_the_one_shape,
        a_form_gives_an_order_and_leads_back_to_the_page;
    outcomes:
        a_build_is_ok_and_its_spans_add_up,
        exits_timeouts_and_limits_are_failures,
        leftovers_are_warnings,
        what_the_server_was_given_is_open_in_no_worker_and_no_job,
        secrets_are_not_in_the_log,
        secrets_are_in_no_word_of_a_worker,
        a_secret_that_changed_while_no_server_ran_costs_the_attempt,
        a_queued_build_is_cancelled,
        a_running_build_is_cancelled,
        a_done_build_is_tried_again,
        a_failure_is_tried_again_as_often_as_configured,
        only_the_wanted_tests_run,
        what_is_compiled_only_is_not_tested,
        what_waits_is_expected_when_what_runs_should_end,
        a_snapshot_is_used_by_what_depends_on_it,
        what_needs_a_snapshot_waits_for_it_and_no_longer,
        what_waits_for_a_snapshot_goes_on_when_its_build_fails,
        a_missing_ancestor_skips_the_build,
        an_ancestor_that_no_history_has_is_missing_and_an_unknown_one_is_not,
        max_at_once_holds,
        a_source_that_cant_be_fetched_fails_three_times,
        an_artefact_waits_until_there_is_room_for_it;
    replayed:
        what_was_recorded_comes_out_as_it_was;
    pools:
        machines_come_after_ninety_seconds,
        a_refused_quota_is_asked_again,
        a_vanished_machine_costs_one_attempt,
        three_vanished_machines_end_the_build,
        what_leaked_is_deleted_and_what_is_known_adopted,
        a_worker_without_space_is_set_aside;
    reverse:
        a_machine_that_dials_in_is_given_builds,
        what_the_server_is_in_want_of_costs_no_machine,
        what_runs_on_a_machine_outlives_its_connection,
        what_runs_on_a_machine_outlives_the_coordinator,
        a_machine_that_was_started_anew_has_lost_what_ran_there,
        a_machine_that_lies_or_is_not_ours_is_given_nothing,
        a_machine_that_says_that_another_leads_is_set_aside_and_ends_nobody,
        a_cancelled_build_whose_machine_is_lost_is_cancelled,
        a_machine_that_is_away_is_given_nothing_while_another_is_here,
        a_machine_that_says_goodbye_is_not_waited_for,
        a_machine_that_is_too_old_is_told_so_and_given_nothing,
        what_a_host_asks_reaches_machines_that_are_here,
        a_machine_that_is_deleted_is_told_to_end;
    spread:
        a_list_is_run_by_two_machines_and_printed_in_its_order,
        a_machine_that_dies_gives_its_tests_back,
        all_tests_run_though_one_fails,
        the_first_failure_ends_all_tests_where_that_is_wanted,
        a_build_whose_tests_are_spread_is_cancelled_everywhere,
        what_nobody_reviewed_is_spread_and_leaves_nothing,
        junit_files_of_all_machines_are_put_together;
    results:
        results_of_tests_are_read_out_of_the_log,
        junit_files_are_read_on_the_worker;
    thousand:
        more_machines_than_can_be_told_of_at_once_are_all_told_of,
        a_thousand_machines_are_ready_again_within_two_heartbeats;
    asides:
        a_machine_that_is_set_aside_finishes_and_is_given_nothing_until_the_end,
        a_machine_is_set_aside_before_it_comes_and_resumed_by_who_may,
        what_a_machine_does_that_is_set_aside_at_once_goes_elsewhere;
    identities:
        a_machine_joins_once_and_is_known_by_its_secret,
        who_is_not_the_machine_is_told_why_and_noted,
        a_revoked_machine_is_cut_off_and_its_build_goes_elsewhere,
        a_machine_by_the_key_goes_gently_when_its_name_gets_a_token,
        of_two_machines_with_one_identity_one_is_given_work_and_that_is_told;
    original:
        an_original_is_given_one_build_and_told_to_end,
        an_original_is_idle_until_it_is_leased_and_busy_then,
        exits_timeouts_and_a_full_log_are_failures_on_an_original,
        what_runs_on_an_original_is_lost_with_its_connection_and_tried_again,
        what_runs_on_an_original_is_lost_with_the_coordinator_and_tried_again,
        a_paused_coordinator_gives_its_original_no_command_and_writes_nothing;
    fences:
        a_paused_coordinator_writes_nothing_at_any_transition,
        a_lead_that_is_lost_leases_nothing,
        of_many_that_take_the_lead_each_has_its_own_epoch,
        a_fence_that_is_over_moves_no_row,
        a_late_chunk_of_log_is_refused,
        the_worker_obeys_the_newest_only,
        a_stale_coordinator_keeps_no_snapshot;
    upgrade:
        builds_go_on_over_an_upgrade_from_each_version;
    clocks:
        an_hour_back_between_transitions,
        a_day_forward_between_transitions;
    faults:
        what_failed_before_a_crash_stays_failed,
        killed_at_every_transition,
        what_was_listed_outlives_the_coordinator,
        a_transition_that_is_not_committed_is_tried_again,
        an_answer_that_is_lost_doubles_nothing;
}
