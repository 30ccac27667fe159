//! `docs/report.schema.json`, the form of a Snapshot as it is written down, made from the types.
//!
//! It describes what this version reads: a field that a later version has added may be missing, and fields that it does not
//! know may be there.

use std::borrow::Cow;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{FORMAT, Label, Reading, Reason, Snapshot, Tally, Threshold, Thresholds, label};

impl<T: JsonSchema> JsonSchema for Reading<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Reading_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (value, reason) = (generator.subschema_for::<T>(), generator.subschema_for::<Reason>());
        json_schema!({
            "oneOf": [
                {
                    "description": "It was read, and this is its value.",
                    "type": "object",
                    "properties": { "known": value },
                    "required": ["known"],
                    "additionalProperties": false,
                },
                { "description": "It is not configured, or rightly not there.", "type": "string", "const": "absent" },
                {
                    "description": "It was looked at, and could not be told.",
                    "type": "object",
                    "properties": { "unknown": reason },
                    "required": ["unknown"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl JsonSchema for Label {
    fn schema_name() -> Cow<'static, str> {
        "Label".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": label::LONGEST })
    }
}

impl JsonSchema for Tally {
    fn schema_name() -> Cow<'static, str> {
        "Tally".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Counts by name; the smallest ones of many names are summed up as `other`.",
            "type": "object",
            "additionalProperties": { "type": "integer", "minimum": 0 },
        })
    }
}

impl JsonSchema for Thresholds {
    fn schema_name() -> Cow<'static, str> {
        "Thresholds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let limit = |threshold: Threshold| {
            let schema = json!({ "description": threshold.meaning(), "type": ["number", "null"] });
            (threshold.as_str().to_owned(), schema)
        };
        json_schema!({
            "description": "The limits in force: in seconds, as a part of a whole, or as a number; null where switched off.",
            "type": "object",
            "properties": Threshold::ALL.map(limit).into_iter().collect::<Map<String, Value>>(),
            "additionalProperties": { "type": ["number", "null"] },
        })
    }
}

/// The schema as it is published.
fn published() -> String {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Snapshot>();
    schema.insert("$id".to_owned(), json!(format!("urn:hermes-exporter:report:{FORMAT}")));
    schema.insert("title".to_owned(), json!(format!("Self-report of hermes-exporter, format {FORMAT}")));
    if let Some(format) = schema.pointer_mut("/properties/format").and_then(Value::as_object_mut) {
        format.insert("const".to_owned(), json!(FORMAT));
    }
    // The marks of a link in the documentation of the code lead nowhere here.
    serde_json::to_string_pretty(&schema).unwrap().replace("[`", "`").replace("`]", "`") + "\n"
}

#[test]
fn the_published_schema_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    let schema = published();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == schema, "docs/report.schema.json is stale: run UPDATE_GOLDEN=1 cargo test");
}
