use bytes::Bytes;
use modelswitch_provider::Document;
use serde_json::{Map, Value, json};

/// A document is what serde_json reads: nothing is lost, and changing one member changes one member.
pub fn document(bytes: &[u8]) {
    let Ok(document) = Document::parse(Bytes::copy_from_slice(bytes)) else {
        let read = serde_json::from_slice::<Map<String, Value>>(bytes);
        assert!(read.is_err(), "serde_json reads it");
        return;
    };
    // A document may nest deeper and have larger numbers than serde_json takes, also in a member that doesn't count.
    let Some(wanted) = value(&document) else { return };
    if let Ok(read) = serde_json::from_slice::<Map<String, Value>>(bytes) {
        assert_eq!(read, wanted);
    }
    assert_eq!(document.names().collect::<std::collections::BTreeSet<_>>().len(), wanted.len());
    for (name, member) in &wanted {
        assert_eq!(document.get::<Value>(name).ok().flatten().unwrap_or_default(), *member);
        assert_eq!(document.str(name).as_deref(), member.as_str());
        assert_eq!(document.bool(name), member.as_bool());
        assert_eq!(document.has(name), !member.is_null());
        changed(&document, &wanted, name);
    }
}

fn value(document: &Document) -> Option<Map<String, Value>> {
    serde_json::from_slice(&document.to_bytes()).ok()
}

fn changed(document: &Document, wanted: &Map<String, Value>, name: &str) {
    let (mut set, mut meant) = (document.clone(), wanted.clone());
    assert!(set.set(name, json!({ "a\"b": [1, "é"] })).is_ok());
    meant.insert(name.to_owned(), json!({ "a\"b": [1, "é"] }));
    assert_eq!(value(&set), Some(meant.clone()));
    assert!(set.remove(name) && !set.remove(name));
    meant.remove(name);
    assert_eq!(value(&set), Some(meant));

    let (mut renamed, mut meant) = (document.clone(), wanted.clone());
    assert!(renamed.rename(name, "a name\n\"of\" another"));
    let member = meant.remove(name).unwrap_or_default();
    meant.insert("a name\n\"of\" another".to_owned(), member);
    assert_eq!(value(&renamed), Some(meant));
}
