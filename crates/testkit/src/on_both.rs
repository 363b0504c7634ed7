//! One list of tests for the two databases.

/// Runs each test of a list on SQLite, in a module `sqlite`, and with the caller's feature `postgres` on PostgreSQL, in a
/// module `postgres`. A test is `crate::MODULE::NAME(world)`; its world is `WORLD::new(store::Dialect::…)`.
///
/// ```text
/// testkit::on_both! {
///     in crate::world::World;
///     orders:
///         an_order_is_carried_out,
///         an_order_is_refused;
/// }
/// ```
#[expect(clippy::crate_in_macro_def, reason = "the tests are the caller's")]
#[macro_export]
macro_rules! on_both {
    (in $world:ty; $($module:ident: $($name:ident),* ;)*) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(<$world>::new(store::Dialect::Sqlite).await).await;
                })*
            })*
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(<$world>::new(store::Dialect::Postgres).await).await;
                })*
            })*
        }
    };
}
