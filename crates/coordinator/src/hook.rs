//! Named points in the life of a build at which a test can stop the world.
//!
//! Every durable transition has two points, `before_X` and `after_X`. In production nothing is hooked in.

use std::sync::Arc;

use store::StoreError;

/// Is told of every point that is reached, and may never return (a test that kills the process) or return late.
pub trait Hooks: Send + Sync + 'static {
    /// A point is reached by this attempt or build.
    fn reach(&self, point: &str, subject: &str) -> futures::future::BoxFuture<'static, ()>;

    /// What goes wrong with the transaction of a transition; in production nothing but what really does.
    fn fault(&self, _transition: &str, _subject: &str, _at: Fault) -> Option<StoreError> {
        None
    }
}

/// Where a fault may strike a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// In place of its commit: nothing is written.
    NotCommitted,
    /// After its commit: all is written, and the answer is lost.
    AnswerLost,
}

/// Nothing is hooked in.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn reach(&self, _: &str, _: &str) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Shared hooks.
pub type SharedHooks = Arc<dyn Hooks>;
