//! Orders over the API, good and bad.

use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use transport::{CallError, Role, Service, Viewer};

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

async fn send(service: &Service, path: &str, form: &str) -> (u16, String) {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = service.send(request.body(form.to_owned().into()).unwrap()).await.unwrap();
    let to = answer.headers().get(header::LOCATION).map_or("", |to| to.to_str().unwrap()).to_owned();
    (answer.status().as_u16(), to)
}

pub async fn a_form_gives_an_order_and_leads_back_to_the_page(world: World) {
    world.configure(&crate::world::simple("sleep 600", ""));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let build = world.until("one", "b", |row| row.state != "done").await.id.to_string();
    let ada = running.service.clone().asking_as(Viewer::known("ada", Role::Developer));
    let page = format!("/builds/{build}");
    let cancel = format!("/api/v1/builds/{build}/cancel");
    assert_eq!(send(&ada, &cancel, "csrf=x&reason=not+needed").await, (303, page.clone()));
    let row = world.until("one", "b", |row| row.outcome.as_deref() == Some("cancelled")).await;
    assert!(row.cause.unwrap().contains("not needed"));
    world.until("one", "b", |row| row.state == "done" && row.reported).await;
    let retry = format!("/api/v1/builds/{build}/retry");
    assert_eq!(send(&ada, &retry, "csrf=x").await, (303, page));
    let rows = store::audit::after(&mut world.db.read().await.unwrap(), 0, 100).await.unwrap();
    let deeds: Vec<_> = rows.iter().map(|row| format!("{} {}", row.deed.actor, row.deed.action)).collect();
    assert_eq!(deeds, ["ada cancel", "ada retry"]);
    // Who is for other repositories, or gives no orders, does neither.
    let eve = Viewer::known("eve", Role::Developer).scoped(vec!["two".into()]);
    assert_eq!(send(&running.service.clone().asking_as(eve), &cancel, "").await.0, 403);
    for viewer in [Viewer::known("m1", Role::Builder), Viewer::known("bob", Role::Reader)] {
        assert_eq!(send(&running.service.clone().asking_as(viewer), &cancel, "").await.0, 403);
    }
    assert_eq!(send(&running.service.clone().asking_as(Viewer::stranger(true)), &cancel, "").await.0, 401);
}
