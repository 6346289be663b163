//! Whether an answer still has what a recorded one had.

use serde_json::Value;

/// Fields whose words depend on the machine.
const OF_THE_MACHINE: [&str; 1] = ["result"];

/// What a recorded answer has and today's lacks: a field, or a value of the same kind. A time stays a time; a word that stands for
/// something, such as a status or a code, stays that word; a list has an element for each that was there. What was null may be
/// anything, and there may be more.
pub(super) fn missing(recorded: &Value, today: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", recorded, today, &mut found);
    found
}

fn compare(at: &str, recorded: &Value, today: &Value, found: &mut Vec<String>) {
    let is_same = match (recorded, today) {
        (Value::Null, _) | (Value::Number(_), Value::Number(_)) => true,
        (Value::Bool(recorded), Value::Bool(today)) => recorded == today,
        (Value::String(recorded), Value::String(today)) => {
            let is_kept = !is_word(recorded) || OF_THE_MACHINE.iter().any(|name| at.ends_with(name));
            (is_kept || recorded == today) && (!is_time(recorded) || is_time(today))
        }
        (Value::Array(recorded), Value::Array(today)) => {
            let lacks = |one: &&Value| !today.iter().any(|other| missing(one, other).is_empty());
            let lacking = recorded.iter().filter(lacks);
            found.extend(lacking.map(|one| format!("{at}: nothing like {one} in {}", Value::from(today.clone()))));
            true
        }
        (Value::Object(recorded), Value::Object(today)) => {
            for (name, value) in recorded {
                match today.get(name) {
                    Some(now) => compare(&format!("{at}/{name}"), value, now, found),
                    None if value.is_null() => {}
                    None => found.push(format!("{at}/{name} is missing")),
                }
            }
            true
        }
        _ => false,
    };
    if !is_same {
        found.push(format!("{at}: {today} in place of {recorded}"));
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
}

/// As in `2026-11-23T06:36:22.715Z`.
fn is_time(text: &str) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd.dddZ";
    text.len() == form.len()
        && text.chars().zip(form.chars()).all(|(c, form)| match form {
            'd' => c.is_ascii_digit(),
            form => c == form,
        })
}

#[test]
fn an_answer_that_lacks_something_of_a_recorded_one_is_found() {
    let recorded = serde_json::json!({
        "at": "2026-11-23T06:36:22.715Z", "status": "IDLE", "text": "some words", "none": null, "yes": true,
        "list": [{"name": "a", "n": 1}, {"name": "b", "n": 2}],
    });
    let with = |name: &str, value: Value| {
        let mut changed = recorded.clone();
        changed[name] = value;
        missing(&recorded, &changed)
    };
    assert!(with("further", Value::Null).is_empty());
    assert!(with("text", "others".into()).is_empty());
    assert!(with("none", 7.into()).is_empty());
    assert!(with("at", "2027-11-23T06:36:22.000Z".into()).is_empty());
    assert_eq!(with("at", 1.into()).len(), 1);
    assert_eq!(with("at", "tomorrow at noon".into()).len(), 1);
    assert_eq!(with("status", "AWAY".into()).len(), 1);
    assert_eq!(with("yes", false.into()).len(), 1);
    assert_eq!(with("list", serde_json::json!([{"name": "a", "n": 1}])).len(), 1);
    assert_eq!(
        missing(&recorded, &serde_json::json!({})).len(),
        5,
        "null need not be there"
    );
}
