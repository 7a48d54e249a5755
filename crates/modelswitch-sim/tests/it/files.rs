//! `/files` of DeepSeek.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

fn part(content: &[u8]) -> Part {
    Part::bytes(content.to_vec()).file_name("some.name")
}

async fn upload(sim: &Sim, key: &str, form: Form) -> (u16, Value) {
    let request =
        reqwest::Client::new().post(format!("{}/files", sim.base_url())).bearer_auth(key).multipart(form);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn an_image_is_kept_found_used_and_deleted() {
    let sim = deepseek().await;
    let form = Form::new()
        .text("purpose", "user_data")
        .text("expires_after[anchor]", "created_at")
        .text("expires_after[seconds]", "3600")
        .part("file", part(PNG));
    let (status, file) = upload(&sim, sim.key(), form).await;
    assert_eq!(status, 200, "{file}");
    let id = file["id"].as_str().unwrap();
    assert!(id.starts_with("file-api-"));
    assert_eq!(
        (&file["object"], &file["bytes"], &file["filename"]),
        (&json!("file"), &json!(PNG.len()), &json!("some.name"))
    );
    assert_eq!(file["expires_at"].as_u64().unwrap() - file["created_at"].as_u64().unwrap(), 3600);

    assert_eq!(get(&sim, &format!("/v1/files/{id}")).await.json::<Value>().await.unwrap(), file);
    let shown = json!([{"role": "user", "content": [{"type": "file", "file_id": id}]}]);
    chat(&sim, with(says(""), json!({"messages": shown}))).await;

    let url = format!("{}/files/{id}", sim.base_url());
    let delete = || reqwest::Client::new().delete(&url).bearer_auth(sim.key()).send();
    let deleted: Value = delete().await.unwrap().json().await.unwrap();
    assert_eq!(deleted, json!({"id": id, "object": "file", "deleted": true}));
    assert_eq!(delete().await.unwrap().status(), 404);
    assert_eq!(get(&sim, &format!("/files/{id}")).await.status(), 404);
}

#[tokio::test]
async fn what_does_not_fit_its_purpose_is_refused() {
    let sim = deepseek().await;
    let images = || Form::new().text("purpose", "user_data").part("file", part(PNG));
    let document =
        |content: &[u8]| Form::new().text("purpose", "text_recognition").part("file", part(content));
    for (form, words) in [
        (Form::new().part("file", part(PNG)), "missing form field `purpose`"),
        (Form::new().text("purpose", "user_data"), "missing form field `file`"),
        (Form::new().text("purpose", "assistants").part("file", part(PNG)), "unknown purpose `assistants`"),
        (
            Form::new().text("purpose", "user_data").part("file", part(b"%PDF-1.4")),
            "must be a JPEG, PNG, GIF or WebP image",
        ),
        (Form::new().text("purpose", "user_data").part("file", part(b"")), "the file is empty"),
        (
            Form::new().part("file", part(b"%PDF-1.4")).text("purpose", "text_recognition"),
            "`purpose` must come before `file`",
        ),
        (document(b"\xff\xfe\x00binary"), "no document"),
        (images().text("expires_after[seconds]", "3600"), "needs `seconds` and the anchor"),
        (
            images().text("expires_after[anchor]", "now").text("expires_after[seconds]", "3600"),
            "the anchor `created_at`",
        ),
        (
            images().text("expires_after[anchor]", "created_at").text("expires_after[seconds]", "3599"),
            "from 3600 to 2592000",
        ),
        (
            images().text("expires_after[anchor]", "created_at").text("expires_after[seconds]", "2592001"),
            "from 3600 to 2592000",
        ),
    ] {
        let (status, error) = upload(&sim, sim.key(), form).await;
        assert_eq!((status, &error["error"]["type"]), (400, &json!("invalid_request_error")));
        assert!(error["error"]["message"].as_str().unwrap().contains(words), "{error}");
    }
    assert_eq!(
        upload(&sim, sim.key(), Form::new().part("file", part(PNG)).text("purpose", "user_data")).await.0,
        200
    );
    for content in [&b"%PDF-1.4"[..], b"PK\x03\x04docx", b"plain text"] {
        assert_eq!(upload(&sim, sim.key(), document(content)).await.0, 200);
    }
    let response = post(&sim, "/files", &json!({})).await;
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn files_are_listed_in_pages_for_the_key_that_sent_them() {
    let sim = Sim::builder().any_key(true).start().await.unwrap();
    let mut ids = Vec::new();
    for purpose in ["user_data", "text_recognition", "user_data"] {
        let content = if purpose == "user_data" { PNG } else { b"text" };
        let form = Form::new().text("purpose", purpose).part("file", part(content));
        ids.push(upload(&sim, sim.key(), form).await.1["id"].as_str().unwrap().to_owned());
    }
    upload(&sim, "another-key", Form::new().text("purpose", "user_data").part("file", part(PNG))).await;
    let after = format!("?limit=1&order=asc&after={}", ids[0]);
    for (query, expected, more) in [
        ("", vec![2, 1, 0], false),
        ("?order=asc&limit=2", vec![0, 1], true),
        (after.as_str(), vec![1], true),
        ("?purpose=user_data", vec![2, 0], false),
        ("?purpose=rich_layout_recognition", vec![], false),
    ] {
        let list: Value = get(&sim, &format!("/files{query}")).await.json().await.unwrap();
        let found: Vec<&str> =
            list["data"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap()).collect();
        let expected: Vec<&str> = expected.into_iter().map(|place: usize| ids[place].as_str()).collect();
        assert_eq!(found, expected, "{query}");
        assert_eq!(list["has_more"], more, "{query}");
        assert_eq!(list["first_id"].as_str(), expected.first().copied(), "{query}");
        assert_eq!(list["last_id"].as_str(), expected.last().copied(), "{query}");
    }
    for query in ["?limit=0", "?limit=1001", "?limit=x", "?order=up", "?after=file-api-none"] {
        assert_eq!(get(&sim, &format!("/files{query}")).await.status(), 400, "{query}");
    }
    let foreign =
        reqwest::Client::new().get(format!("{}/files/{}", sim.base_url(), ids[0])).bearer_auth("another-key");
    assert_eq!(foreign.send().await.unwrap().status(), 404);
}
