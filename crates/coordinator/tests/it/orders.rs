//! Orders over the API, good and bad.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use transport::CallError;

use crate::world::World;

pub async fn a_bad_order_is_answered_in_the_one_shape(world: World) {
    world.push("one", &[1]).await;
    let running = world.start().await;
    for (body, status) in [
        (json!("nonsense"), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"repo": "one"}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"repo": "one", "builder": "none", "rev": "HEAD"}), StatusCode::NOT_FOUND),
        (json!({"repo": "../one", "builder": "b", "rev": "HEAD"}), StatusCode::NOT_FOUND),
    ] {
        let said =
            running.service.call_json::<Value, Value>(Method::POST, "/api/v1/builds", Some(&body)).await;
        match said {
            Err(CallError::Refused { status: got, error }) => {
                assert_eq!(got, status, "{body} {error:?}");
                assert!(!error.code.is_empty() && !error.message.is_empty(), "{error:?}");
                assert_eq!(error.request_id.len(), 26, "{error:?}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}
