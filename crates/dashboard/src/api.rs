//! The messages of `/api/v1`, shared by server and client.
//!
//! Names are `snake_case`; times are RFC 3339 in UTC, except where a name ends in `_us` (microseconds since
//! 1970); ids of builds and attempts are the text of a ULID. Within v1 fields are only added: a reader takes
//! unknown ones, and a field without a value may be left out.

mod audit;
mod build;
mod cell;
mod event;
mod log;
mod log_search;
mod page;
mod repo;
mod tree;

pub use audit::{AuditChain, AuditInfo, AuditList};
pub use build::{
    Artifact, ArtifactList, AttemptReport, BuildList, BuildQuery, BuildReport, BuildState, BuildSummary,
    Cause, Expected, Failure, FailureLine, JobReport, JobSource, JobStep, LogPart, Outcome, Span,
    SpreadChunk, SpreadMachine, SpreadPart, SpreadReport, StepReport, TestKind, TestList, TestResult,
    TestSource, TestsRead, UnknownWord, Wait,
};
pub use cell::{
    Alike, Cell, CellRow, CellState, CellWindow, CommitBuild, EmptyCell, EmptyCells, LeftOut, Since,
};
pub use event::{Event, EventKind};
pub use log::{LogEvent, LogGap, LogInfo, LogRange, LogSearch, LogState, SearchHit};
pub use log_search::{FoundLine, FoundLog, LogsFound, LogsQuery, Truncated};
pub use page::{
    AlikeBuild, BuildTests, BuilderStatistics, DayStatistics, FailureGroup, MachineDay, MachineStatistics,
    OutcomeCount, StepDay, StepStatistics, TestGrid, TestGridBuild, TestGridCell, TestGridRow, TestName,
    TestNames, TestRun,
};
pub use repo::{
    BranchAnswer, BranchInfo, BranchUpdate, CommitInfo, RepoInfo, RepoState, RepoUpdate, Visibility,
};
pub use tree::{RedBuilder, TreeChange, TreeDetail, TreeInfo, TreeList, TreeRequest, TreeStatus};
