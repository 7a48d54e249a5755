//! The table of error bodies, read as it stands in `tests/error_bodies.toml`.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    service: String,
    source: String,
    sure: String,
    status: u16,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: String,
    #[serde(flatten)]
    wanted: Wanted,
}

/// What a row must become.
#[derive(Debug, Default, Deserialize, PartialEq)]
struct Wanted {
    kind: String,
    message: String,
    code: Option<String>,
    r#type: Option<String>,
    param: Option<String>,
    request_id: Option<String>,
    retry_after: Option<f64>,
    should_retry: Option<bool>,
}

impl Wanted {
    fn of(error: &Error) -> Self {
        Self {
            kind: error.kind().as_str().to_owned(),
            message: error.message().to_owned(),
            code: error.code().map(str::to_owned),
            r#type: error.upstream_type().map(str::to_owned),
            param: error.param().map(str::to_owned),
            request_id: error.request_id().map(str::to_owned),
            retry_after: error.retry_after().map(|wait| wait.as_secs_f64()),
            should_retry: error.should_retry(),
        }
    }
}

fn table() -> Table {
    toml::from_str(include_str!("../../tests/error_bodies.toml")).unwrap()
}

fn profile(service: &str) -> Profile {
    Profile::embedded(service).unwrap_or_else(|| panic!("there is no profile `{service}`"))
}

/// The error that a row becomes.
fn read(row: &Row, profile: &Profile) -> Option<Error> {
    let scrub = Scrub::default();
    if row.status == 200 {
        let value: Value = serde_json::from_str(&row.body).unwrap();
        return from_success(profile, &scrub, &value);
    }
    let headers: HeaderMap = row
        .headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect();
    let status = StatusCode::from_u16(row.status).unwrap();
    Some(from_answer(profile, &scrub, true, status, &headers, Bytes::from(row.body.clone())))
}

#[test]
fn every_row_of_the_table_becomes_what_it_must() {
    let table = table();
    let mut failures = Vec::new();
    for row in table.row.iter().filter(|row| !row.stream) {
        let error = read(row, &profile(&row.service));
        let found = error.as_ref().map(Wanted::of);
        if found.as_ref() != Some(&row.wanted) {
            failures.push(format!(
                "{}: {}\n  wanted {:?}\n  found  {found:?}",
                row.service, row.name, row.wanted
            ));
        }
    }
    assert!(failures.is_empty(), "{} rows differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_table_has_enough_rows_of_enough_services_and_each_has_a_source() {
    let table = table();
    let told = table.row.iter().filter(|row| matches!(row.sure.as_str(), "recorded" | "quoted"));
    let services: std::collections::BTreeSet<_> = told.clone().map(|row| &row.service).collect();
    assert!(told.count() >= 120 && services.len() >= 12);
    let names: std::collections::BTreeSet<_> =
        table.row.iter().map(|row| (&row.service, &row.name)).collect();
    assert_eq!(names.len(), table.row.len(), "a name stands twice");
    for row in &table.row {
        assert!(matches!(row.sure.as_str(), "recorded" | "quoted" | "shape"), "{}", row.name);
        assert!(row.source.starts_with("https://") || row.sure == "shape", "{}", row.name);
    }
}
