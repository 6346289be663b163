//! What the derived schemas can't tell: a field of an answer that may be absent is never null. Those that are null instead are
//! marked as required. In requests null counts as absent.

use serde_json::{Map, Value};

use super::bodies;

/// Takes `null` out of the types of all fields that are not required.
pub(super) fn make_optional_fields_non_null(document: &mut Value) {
    let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") else {
        return;
    };
    let answers = schemas
        .iter_mut()
        .filter(|(name, _)| !bodies::NAMES.contains(&name.as_str()));
    for schema in answers.filter_map(|(_, schema)| schema.as_object_mut()) {
        let required = schema.get("required").cloned().unwrap_or_default();
        let is_required = |name: &str| {
            required
                .as_array()
                .is_some_and(|names| names.iter().any(|one| one == name))
        };
        let Some(Value::Object(fields)) = schema.get_mut("properties") else {
            continue;
        };
        for (name, field) in fields.iter_mut() {
            if let (false, Value::Object(field)) = (is_required(name), field) {
                remove_null(field);
            }
        }
    }
}

/// A type may be one of two, or the schema one of two alternatives.
fn remove_null(field: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = field.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            field.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(alternatives)) = field.get_mut("oneOf") {
        alternatives.retain(|alternative| alternative["type"] != "null");
        if let [Value::Object(one)] = alternatives.as_slice() {
            let one = one.clone();
            field.remove("oneOf");
            field.extend(one);
        }
    }
}
