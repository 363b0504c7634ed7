//! Signing in, tokens, forms and strangers, through the layer and over a real database: one list of tests, run on SQLite
//! and (feature `postgres`) on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

#[cfg(feature = "postgres")]
#[path = "../../../store/tests/it/pg.rs"]
mod pg;
mod provider;
mod sign_in;
mod strangers;
mod tokens;
mod world;

testkit::on_both! {
    in crate::world::World;
    tokens:
        a_token_is_shown_once_works_and_is_revoked,
        a_token_ends_by_itself_and_is_about_its_repos_only,
        an_admin_of_some_repos_makes_nobody_more_than_that,
        what_lasts_longer_than_a_request_hears_that_a_token_counts_no_longer,
        what_is_still_being_answered_breaks_off_when_a_token_counts_no_longer,
        what_is_no_token_is_refused,
        nobody_is_given_the_name_of_somebody_who_is_built_in;
    sign_in:
        a_link_signs_in_once_and_the_session_ends_with_signing_out,
        signing_in_again_ends_the_session_before,
        an_order_of_a_session_needs_the_token_of_its_form,
        a_server_with_tls_says_so_in_its_cookie;
    strangers:
        where_reading_is_closed_a_stranger_gets_health_looks_and_the_page_to_sign_in,
        strangers_are_held_to_a_rate_by_address,
        what_strangers_look_at_is_made_for_few_of_them_at_once,
        what_a_crowd_of_strangers_looks_at_is_made_once_for_many_of_them,
        a_question_is_no_order_after_which_all_is_made_anew,
        strangers_who_wait_or_ask_slowly_keep_nobody_else_waiting,
        strangers_who_wait_are_bounded_by_address,
        refused_orders_are_in_the_audit_log;
}
