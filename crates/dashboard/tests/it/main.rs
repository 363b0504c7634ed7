//! The dashboard through its client, over a real database and real files: one list of tests, run on SQLite and
//! (feature `postgres`) on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod builds;
mod cells;
mod faulty;
mod feed;
mod fixture;
mod grid;
mod hostile;
mod legacy;
mod logs;
mod logsearch;
mod operators;
mod pages;
#[cfg(feature = "postgres")]
#[path = "../../../store/tests/it/pg.rs"]
mod pg;
mod repos;
mod retention;
mod testresults;
mod tree;
mod visible;

testkit::on_both! {
    in crate::fixture::Fixture;
    repos:
        a_branch_moves_only_with_its_commits,
        posting_again_changes_nothing,
        a_force_push_keeps_what_was_built,
        bad_posts_are_refused,
        awkward_texts_come_back;
    visible:
        a_stranger_finds_nothing_of_a_private_repo_by_any_route,
        what_is_public_stays_and_developers_see_all,
        counts_and_histories_leave_out_what_is_private,
        changes_of_what_is_private_are_told_to_those_who_see_it,
        a_repo_that_is_made_private_is_hidden_at_once,
        who_is_signed_in_finds_the_forms_of_orders;
    cells:
        a_repo_by_itself,
        newest_first_then_back_to_the_horizon,
        a_repo_that_needs_another,
        a_blocked_repo_has_no_due_cells,
        a_head_is_due_once_its_own_configuration_was_read,
        the_answer_follows_every_change,
        commits_pushed_away_get_nothing_new;
    builds:
        reports_only_get_newer,
        lists_by_what_is_asked,
        expected_times_are_medians,
        bad_reports_are_refused,
        the_failure_is_found_in_the_log,
        the_failure_is_looked_for_in_the_step_that_failed,
        tests_and_artifacts_under_the_fence,
        an_artifact_with_another_digest_is_refused;
    testresults:
        a_log_is_read_for_results_under_its_fence,
        tests_are_found_and_their_history_is_shown,
        tests_of_a_build_and_against_builds;
    feed:
        what_happened_is_told_in_order_and_once,
        who_comes_back_misses_nothing_though_the_server_was_another,
        who_follows_is_told_as_it_happens,
        a_number_that_is_not_known_any_more_is_said,
        of_what_is_private_only_those_are_told_who_see_it;
    retention:
        random_histories_lose_nothing_that_a_rule_keeps,
        a_round_that_dies_anywhere_is_finished_by_the_next,
        what_is_young_or_needed_stays,
        pages_say_that_a_log_expired,
        of_a_build_whose_log_is_lost_all_else_is_shown;
    logs:
        bytes_come_back_as_written,
        a_chunk_again_is_fine_and_another_is_not,
        a_lost_fence_writes_nothing,
        many_writers_of_one_chunk_write_it_once,
        lines_and_ranges,
        a_log_is_searched,
        a_log_is_followed_until_it_is_finished,
        events_go_on_where_they_were_left,
        a_live_log_is_taken_out_of_the_store_in_small_parts,
        a_log_that_is_too_long_keeps_head_and_tail,
        a_chunk_that_was_changed_on_disk_is_found,
        a_full_disk_is_said_and_nothing_is_half_there;
    logsearch:
        lines_are_found_in_the_logs_of_many_builds,
        the_index_loses_no_line_and_saves_reading,
        what_is_private_is_neither_found_nor_counted,
        a_log_that_is_lost_is_said_to_be_unread;
    pages:
        pages_show_what_there_is,
        pages_escape_what_they_show,
        twins_are_the_api,
        nothing_inline,
        a_log_opens_anywhere_in_little,
        it_serves_over_tcp_until_it_is_told_to_end;
    legacy:
        the_original_s_own_sequence,
        answers_are_byte_for_byte,
        nothing_is_posted_without_a_key,
        commits_are_posted_parents_first,
        results_need_their_commit_and_their_version,
        results_are_cleared,
        a_failure_is_told_once_for_each_commit,
        overviews_are_byte_for_byte,
        what_was_built_here_shows_there_too,
        tries_and_private_repos_show_nothing,
        measurements_have_their_pages,
        an_administrator_makes_the_first_rows,
        old_commits_are_marked_to_be_measured;
    grid:
        a_red_cell_says_since_when,
        a_long_red_streak_is_followed_below_the_window,
        builds_that_failed_alike_are_found,
        filters_are_in_the_address,
        commits_and_columns_are_paged,
        a_page_that_is_open_is_told_of_changes;
    tree:
        the_rules_follow_the_builds,
        closers_and_thresholds_are_configured,
        each_branch_of_the_toolchain_counts,
        a_force_push_takes_its_red_commit_along,
        what_is_set_by_hand_wins_until_it_is_released,
        who_may_not_set_it_does_not,
        what_was_set_ends_by_itself,
        a_badge_and_a_feed_for_others,
        trees_are_listed_and_have_twins;
    operators:
        the_audit_log_is_shown_to_admins,
        statistics_show_the_time_of_each_step,
        a_bad_machine_and_a_bad_day_are_seen;
    hostile:
        nothing_from_outside_is_more_than_text;
}
