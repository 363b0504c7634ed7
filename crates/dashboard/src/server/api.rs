//! The routes of the API, each with its role and its description.

use transport::operation::{Count, NameText, Operation, SegmentText, UlidText, operation};
use transport::routes::{get, post, put};
use transport::{Role, Routes};

use super::{
    Dashboard, audit, builds, cells, failures, feed, files, logs, logsearch, repos, tail, testread, tree,
    window,
};
use crate::api::{
    Artifact, ArtifactList, AuditList, BranchAnswer, BranchUpdate, BuildList, BuildQuery, BuildReport,
    CellWindow, EmptyCells, Event, Expected, Failure, LogEvent, LogInfo, LogSearch, LogState, LogsFound,
    LogsQuery, RepoInfo, RepoUpdate, TestList, TestSource, TestsRead, TreeDetail, TreeList, TreeRequest,
};

/// Largest body of a branch's post: 500 commits with messages of 64 KiB.
const LARGEST_BRANCH: u64 = 40 << 20;
/// Largest report of a build.
const LARGEST_BUILD: u64 = 8 << 20;
/// Largest list of test results.
const LARGEST_TESTS: u64 = 64 << 20;

/// Says that an operation is about a build.
fn of_build(operation: Operation) -> Operation {
    operation.part::<UlidText>("id", "The build's id.")
}

/// Says that an operation is about an attempt.
fn of_attempt(operation: Operation) -> Operation {
    operation.part::<UlidText>("attempt", "The attempt's id.")
}

/// Says that an operation is of who owns an attempt, by its fence.
fn of_owner(operation: Operation) -> Operation {
    of_attempt(operation).may_refuse(&[409, 507])
}

fn reads_log(operation: Operation) -> Operation {
    operation
        .query::<logs::ReadQuery>()
        .answers_bytes(200, "text/plain", "The log, exactly as it was written.")
        .answers_bytes(206, "text/plain", "The part that the header `Range` asks for.")
        .may_refuse(&[416])
}

fn searches_log(operation: Operation) -> Operation {
    operation.query::<logs::SearchQuery>().answers::<LogSearch>()
}

fn tails_log(operation: Operation) -> Operation {
    operation
        .query::<tail::TailQuery>()
        .header::<u64>("Last-Event-ID", "The id of the last event that was seen: a byte's offset.")
        .answers_events::<LogEvent>(
            "Events `log`, whose ids are the offsets after them; then one event `end`.",
        )
}

/// Below `/api/v1`. `chunk` is the largest chunk of a log.
pub(super) fn routes(chunk: usize) -> Routes<Dashboard> {
    Routes::new()
        .merge(repositories())
        .merge(trees())
        .merge(results())
        .merge(log_readers())
        .merge(owners(chunk))
}

fn repositories() -> Routes<Dashboard> {
    Routes::new()
        .route(
            "/repos",
            get(Role::Reader, repos::list).about(
                operation("list_repos", "Lists the repos with their branches.").answers::<Vec<RepoInfo>>(),
            ),
        )
        .route(
            "/repos/{repo}",
            put(Role::Service, repos::put_repo).about(
                operation("put_repo", "Posts a repo's state.")
                    .part::<NameText>("repo", "The repo.")
                    .takes::<RepoUpdate>()
                    .answers::<()>(),
            ),
        )
        .route(
            "/repos/{repo}/branches/{branch}",
            put(Role::Service, repos::put_branch)
                .about(
                    operation("put_branch", "Posts where a branch is, and its first-parent line.")
                        .part::<NameText>("repo", "The repo.")
                        .part::<SegmentText>("branch", "The branch; a `/` in it is written `%2F`.")
                        .takes::<BranchUpdate>()
                        .answers::<BranchAnswer>(),
                )
                .body_limit(LARGEST_BRANCH),
        )
}

/// Says that an operation is about a tree.
fn of_tree(operation: Operation) -> Operation {
    operation.part::<NameText>("repo", "The repo.").part::<SegmentText>("branch", "The branch.")
}

fn trees() -> Routes<Dashboard> {
    Routes::new()
        .route(
            "/audit",
            get(Role::Admin, audit::list).about(
                operation("list_audit", "Lists who did what, the newest first.")
                    .query::<audit::AuditQuery>()
                    .answers::<AuditList>(),
            ),
        )
        .route(
            "/tree",
            get(Role::Reader, tree::list).about(
                operation("list_trees", "Lists branches, and whether each is open.").answers::<TreeList>(),
            ),
        )
        .route(
            "/tree/{repo}/{branch}",
            get(Role::Reader, tree::get).about(of_tree(
                operation("get_tree", "Says whether a branch is open, with its last changes.")
                    .answers::<TreeDetail>(),
            )),
        )
        .route(
            "/tree/{repo}/{branch}/set",
            post(Role::Developer, tree::set).about(of_tree(
                operation("set_tree", "Opens, throttles or closes a branch, until it is released.")
                    .takes::<TreeRequest>()
                    .or_form::<tree::TreeForm>()
                    .answers::<TreeDetail>(),
            )),
        )
        .route(
            "/tree/{repo}/{branch}/release",
            post(Role::Developer, tree::release).about(of_tree(
                operation("release_tree", "Ends what was set; the rules decide again.")
                    .takes_order::<serde_json::Map<String, serde_json::Value>>()
                    .answers::<TreeDetail>()
                    .may_refuse(&[409]),
            )),
        )
}

fn results() -> Routes<Dashboard> {
    Routes::new()
        .route(
            "/cells",
            get(Role::Reader, window::window).about(
                operation("get_cells", "Returns commits of a branch, newest first, with their cells.")
                    .query::<window::WindowQuery>()
                    .answers::<CellWindow>()
                    .may_refuse(&[404]),
            ),
        )
        .route(
            "/cells/empty",
            get(Role::Service, cells::empty).about(
                operation("list_empty_cells", "Lists cells that are due and have no build.")
                    .query::<cells::EmptyQuery>()
                    .answers::<EmptyCells>(),
            ),
        )
        .route(
            "/builds",
            get(Role::Reader, builds::list).about(
                operation("list_builds", "Lists builds, the newest first.")
                    .query::<BuildQuery>()
                    .answers::<BuildList>(),
            ),
        )
        .route(
            "/builds/{id}",
            get(Role::Reader, builds::get)
                .about(of_build(
                    operation("get_build", "Returns a build, with where it failed if it did.")
                        .answers::<BuildReport>(),
                ))
                .put(Role::Service, builds::put)
                .about(of_build(
                    operation(
                        "put_build",
                        "Reports a build. An older report than is known is refused as `stale`.",
                    )
                    .takes::<BuildReport>()
                    .answers::<()>()
                    .may_refuse(&[409]),
                ))
                .body_limit(LARGEST_BUILD),
        )
        .route(
            "/builds/{id}/failure",
            get(Role::Reader, failures::get).about(of_build(
                operation("get_failure", "Returns where a build failed; `null` if it did not or has no log.")
                    .answers::<Option<Failure>>(),
            )),
        )
        .route(
            "/builds/{id}/tests",
            get(Role::Reader, files::tests).about(of_build(
                operation("list_tests", "Lists the test results of a build.").answers::<TestList>(),
            )),
        )
        .route(
            "/builds/{id}/artifacts",
            get(Role::Reader, files::artifacts).about(of_build(
                operation("list_artifacts", "Lists the artefacts of a build.").answers::<ArtifactList>(),
            )),
        )
        .route(
            "/events",
            get(Role::Reader, feed::events).about(
                operation("follow_events", "Sends what happens to builds and branches, as it happens.")
                    .query::<feed::FeedQuery>()
                    .header::<u64>("Last-Event-ID", "The number of the last event that was seen.")
                    .answers_events::<Event>(
                        "Events with numbers that last. Who comes back with the last number is told all that happened \
                         since; `reset` says that this is no longer known.",
                    ),
            ),
        )
        .route(
            "/expected",
            get(Role::Reader, builds::expected).about(
                operation("get_expected", "Says how long a build of a builder and repo should take.")
                    .query::<builds::ExpectedQuery>()
                    .answers::<Expected>(),
            ),
        )
}

fn log_readers() -> Routes<Dashboard> {
    Routes::new()
        .route(
            "/logs/search",
            get(Role::Reader, logsearch::search).about(
                operation(
                    "search_logs",
                    "Finds lines in the logs of many builds, those of the newest first. It ends after a few seconds; \
                     `truncated` and `next_cursor` say that there may be more.",
                )
                .query::<LogsQuery>()
                .answers::<LogsFound>(),
            ),
        )
        .route(
            "/builds/{id}/log",
            get(Role::Reader, logs::of_build::read).about(of_build(reads_log(operation(
                "get_build_log",
                "Reads the log of a build's last attempt: bytes, or lines, or all.",
            )))),
        )
        .route(
            "/builds/{id}/log/info",
            get(Role::Reader, logs::of_build::info).about(of_build(
                operation("get_build_log_info", "Says what is known of the log of a build's last attempt.")
                    .answers::<LogInfo>(),
            )),
        )
        .route(
            "/builds/{id}/log/search",
            get(Role::Reader, logs::of_build::search).about(of_build(searches_log(operation(
                "search_build_log",
                "Finds lines of the log of a build's last attempt.",
            )))),
        )
        .route(
            "/builds/{id}/log/events",
            get(Role::Reader, tail::of_build).about(of_build(tails_log(operation(
                "follow_build_log",
                "Sends the log of a build's last attempt as it is written.",
            )))),
        )
        .route(
            "/attempts/{attempt}/log",
            get(Role::Reader, logs::of_attempt::read).about(of_attempt(reads_log(operation(
                "get_attempt_log",
                "Reads the log of an attempt: bytes, or lines, or all.",
            )))),
        )
        .route(
            "/attempts/{attempt}/log/info",
            get(Role::Reader, logs::of_attempt::info).about(of_attempt(
                operation("get_attempt_log_info", "Says what is known of the log of an attempt.")
                    .answers::<LogInfo>(),
            )),
        )
        .route(
            "/attempts/{attempt}/log/search",
            get(Role::Reader, logs::of_attempt::search).about(of_attempt(searches_log(operation(
                "search_attempt_log",
                "Finds lines of the log of an attempt.",
            )))),
        )
        .route(
            "/attempts/{attempt}/log/events",
            get(Role::Reader, tail::of_attempt).about(of_attempt(tails_log(operation(
                "follow_attempt_log",
                "Sends the log of an attempt as it is written.",
            )))),
        )
}

fn owners(chunk: usize) -> Routes<Dashboard> {
    Routes::new()
        .route(
            "/attempts/{attempt}/log/open",
            post(Role::Service, logs::open).about(of_owner(
                operation(
                    "open_log",
                    "Opens an attempt's log for a fence; chunks of lower ones are refused then.",
                )
                .query::<logs::OpenQuery>()
                .answers::<LogState>(),
            )),
        )
        .route(
            "/attempts/{attempt}/log/finish",
            post(Role::Service, logs::finish).about(of_owner(
                operation("finish_log", "Says that an attempt's log is whole.")
                    .query::<logs::FinishQuery>()
                    .answers::<LogState>(),
            )),
        )
        .route(
            "/attempts/{attempt}/log/{n}",
            put(Role::Service, logs::put)
                .about(of_owner(
                    operation("put_log_chunk", "Writes a chunk of a log. The same chunk again is fine.")
                        .part::<Count>("n", "The chunk's number, from 0.")
                        .query::<logs::ChunkQuery>()
                        .takes_bytes()
                        .answers::<LogState>()
                        .may_refuse(&[413]),
                ))
                .body_limit(chunk as u64 + 1),
        )
        .route(
            "/attempts/{attempt}/tests",
            put(Role::Service, files::put_tests)
                .about(of_owner(
                    operation(
                        "put_tests",
                        "Writes an attempt's test results, replacing those of the same name.",
                    )
                    .query::<files::TestsQuery>()
                    .takes::<TestList>()
                    .answers::<()>(),
                ))
                .body_limit(LARGEST_TESTS),
        )
        .route(
            "/attempts/{attempt}/tests/read",
            post(Role::Service, testread::read_tests).about(of_owner(
                operation("read_tests", "Reads an attempt's log for results of tests, and writes them.")
                    .query::<files::TestsQuery>()
                    .takes::<TestSource>()
                    .answers::<TestsRead>()
                    .may_refuse(&[410]),
            )),
        )
        .route(
            "/attempts/{attempt}/artifacts/{name}",
            put(Role::Service, files::put_artifact)
                .about(of_owner(
                    operation(
                        "put_artifact",
                        "Stores an artefact; refused as `digest` if its content has another.",
                    )
                    .part::<SegmentText>("name", "The artefact's name.")
                    .query::<files::ArtifactQuery>()
                    .takes_bytes()
                    .answers::<Artifact>()
                    .may_refuse(&[413, 422]),
                ))
                .get(Role::Reader, files::artifact)
                .about(of_attempt(
                    operation("get_artifact", "Reads an artefact.")
                        .part::<SegmentText>("name", "The artefact's name.")
                        .answers_bytes(200, "application/octet-stream", "The artefact."),
                ))
                .streams_its_body(),
        )
}
