//! Many results in few statements: a build of a large project has ten thousand, and each statement has its way to the database.

use std::collections::HashSet;

use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::{TestRow, put};
use crate::bind::Double;
use crate::statement::Statement;
use crate::{BuildId, Conn as _, StoreError, Tx};

/// Rows of one statement.
const ROWS: usize = 16;

pub(super) const PUT_MANY: &Statement = &Statement {
    name: "test_results.put_many",
    sql: "INSERT INTO test_results (attempt, id, variant, kind, build_id, outcome, duration_us, \
         first_byte, last_byte, value, unit, message, signature) VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13),\
         ($14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26),\
         ($27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39),\
         ($40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52),\
         ($53, $54, $55, $56, $57, $58, $59, $60, $61, $62, $63, $64, $65),\
         ($66, $67, $68, $69, $70, $71, $72, $73, $74, $75, $76, $77, $78),\
         ($79, $80, $81, $82, $83, $84, $85, $86, $87, $88, $89, $90, $91),\
         ($92, $93, $94, $95, $96, $97, $98, $99, $100, $101, $102, $103, $104),\
         ($105, $106, $107, $108, $109, $110, $111, $112, $113, $114, $115, $116, $117),\
         ($118, $119, $120, $121, $122, $123, $124, $125, $126, $127, $128, $129, $130),\
         ($131, $132, $133, $134, $135, $136, $137, $138, $139, $140, $141, $142, $143),\
         ($144, $145, $146, $147, $148, $149, $150, $151, $152, $153, $154, $155, $156),\
         ($157, $158, $159, $160, $161, $162, $163, $164, $165, $166, $167, $168, $169),\
         ($170, $171, $172, $173, $174, $175, $176, $177, $178, $179, $180, $181, $182),\
         ($183, $184, $185, $186, $187, $188, $189, $190, $191, $192, $193, $194, $195),\
         ($196, $197, $198, $199, $200, $201, $202, $203, $204, $205, $206, $207, $208) \
         ON CONFLICT (attempt, id, variant, kind) DO UPDATE SET outcome = excluded.outcome, \
         duration_us = excluded.duration_us, first_byte = excluded.first_byte, last_byte = excluded.last_byte, \
         value = excluded.value, unit = excluded.unit, message = excluded.message, signature = excluded.signature",
};

/// Writes results of tests, as [`put`] does each; of several of the same attempt, name, variant and kind the last one counts.
///
/// # Errors
/// The database's.
pub async fn put_all(tx: &mut Tx, build: BuildId, tests: &[TestRow]) -> Result<(), StoreError> {
    // A statement may not write a row twice.
    let mut seen = HashSet::new();
    let mut last: Vec<&TestRow> = tests
        .iter()
        .rev()
        .filter(|one| seen.insert((one.attempt, &one.id, &one.variant, &one.kind)))
        .collect();
    last.reverse();
    let (many, few) = last.as_chunks::<ROWS>();
    for rows in many {
        let query = rows.iter().fold(PUT_MANY.query(), |query, row| bound(query, build, row));
        query.execute(tx.conn()).await?;
    }
    for row in few {
        put(tx, build, row).await?;
    }
    Ok(())
}

/// Binds a row, in the order of the columns.
pub(super) fn bound<'q>(
    query: Query<'q, Any, AnyArguments>,
    build: BuildId,
    test: &'q TestRow,
) -> Query<'q, Any, AnyArguments> {
    let query = query.bind(test.attempt).bind(&*test.id).bind(&*test.variant).bind(&*test.kind);
    let query = query.bind(build).bind(&*test.outcome).bind(test.duration).bind(test.first_byte);
    let query = query.bind(test.last_byte).bind(test.value.map(Double)).bind(test.unit.as_deref());
    query.bind(test.message.as_deref()).bind(test.signature.as_deref())
}
