//! Whose a database is: the environment that used it first. Another one must not open it, whatever its configuration says.

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn as _, Micros, StoreError, Tx};

statements! {
    CLAIM = "environment.claim", "INSERT INTO environment (id, name, since_us) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING";
    OWNER = "environment.owner", "SELECT name FROM environment WHERE id = 1";
}

/// Takes the database for an environment if nobody has it yet; returns whose it is.
///
/// # Errors
/// The database's.
pub async fn claim(tx: &mut Tx, name: &str, now: Micros) -> Result<String, StoreError> {
    CLAIM.query().bind(name.to_owned()).bind(now).execute(tx.conn()).await?;
    Ok(OWNER.query().fetch_one(tx.conn()).await?.try_get(0)?)
}
