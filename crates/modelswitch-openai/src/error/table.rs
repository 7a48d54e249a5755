//! The table of error bodies, each read by itself.

mod row;

use http::{HeaderName, HeaderValue};

use self::row::{Row, Table, Wanted};
use super::*;

fn table() -> Table {
    toml::from_str(include_str!("../../tests/error_bodies.toml")).unwrap()
}

fn profile(service: &str) -> Profile {
    Profile::embedded(service).unwrap_or_else(|| panic!("there is no profile `{service}`"))
}

/// The error that a row becomes.
fn read(row: &Row, profile: &Profile) -> Option<Error> {
    let scrub = Scrub::default();
    let headers: HeaderMap = row
        .headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect();
    if row.status == 200 {
        let value: Value = serde_json::from_str(&row.body).unwrap();
        let instead = || instead_of_answer(profile, &scrub, &value);
        let error = from_success(profile, &scrub, &value).or_else(instead);
        return error.map(|error| with_headers(error, profile, &headers));
    }
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
        if !found.as_ref().is_some_and(|found| row.wanted.is_met_by(found)) {
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
