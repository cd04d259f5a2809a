//! As much of JSON Schema as `docs/schemas` uses.

use serde_json::Value;

/// Fails unless `value` is what the schema `name` of `docs/schemas` says.
#[track_caller]
pub(crate) fn conforms(name: &str, value: &Value) {
    let path = testkit::corpus::workspace().join("docs/schemas").join(format!("{name}.json"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut faults = Vec::new();
    check(&schema, value, name, &mut faults);
    assert!(faults.is_empty(), "{faults:#?}");
}

fn check(schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    for key in schema.as_object().unwrap().keys() {
        let known = ["$schema", "title", "description", "type", "properties", "required", "items", "enum"];
        assert!(known.contains(&&**key) || key == "additionalProperties", "{key} is not understood here");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        faults.push(format!("{place}: {value} is not of type {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        faults.push(format!("{place}: {value} is none of {allowed:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{place}[{index}]"), faults);
    }
    let Some(object) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(name.as_str().unwrap()) {
            faults.push(format!("{place}: no {name}"));
        }
    }
    for (name, value) in object {
        match schema["properties"].get(name) {
            Some(schema) => check(schema, value, &format!("{place}.{name}"), faults),
            None if schema["additionalProperties"] == false => faults.push(format!("{place}: {name} is new")),
            None => {}
        }
    }
}
