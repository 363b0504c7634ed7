//! The tables of the original's dashboard API: what its clients post there. `dash` names one of its dashboards, `package` is
//! an import path, empty for the main repository.

pub mod bench_queues;
pub mod bench_results;
pub mod building;
pub mod commits;
pub mod logs;
pub mod noise;
pub mod notices;
pub mod packages;
pub mod results;
pub mod tags;
