use std::time::Instant;

use serde_json::json;

use super::*;

fn event() -> Value {
    json!({
        "id": "evt_1", "type": "task.completed", "timestamp": "2026-11-21T02:00:00.123Z",
        "data": {
            "source": "evolink", "provider": "evolink", "task_id": "t-1", "status": "completed",
            "model": "kling-o3-text-to-video", "progress": 100,
            "outputs": [{"url": "https://a.example/春.mp4", "kind": "video", "expires_at": null}],
            "error": null, "usage": {"credits": 27.0}, "created_at": "2025-09-06T14:42:23.000Z",
            "completed_at": null, "observed_via": "callback", "confirmed": true,
            "metadata": {"campaign": "spring", "order": "42", "季節": "春"}
        }
    })
}

fn matches(text: &str) -> Result<bool, String> {
    let filter = Filter::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    filter.matches(&event())
}

fn refusal(text: &str) -> String {
    Filter::compile(text).expect_err(text).to_string()
}

#[test]
fn what_holds_matches_and_what_does_not_does_not() {
    for text in [
        "task.model.startsWith(\"kling-o3\") && task.metadata.campaign == \"spring\"",
        "true",
        "task.progress == 100 && task.progress > 99.5 && task.progress >= 100u",
        "task.usage.credits == 27 && task.usage.credits < 27.5",
        "task.outputs[0].kind == 'video' && size(task.outputs) == 1 && task.outputs.size() < 2",
        "task.source in ['evolink', \"other\"] && !(task.source in [])",
        "'campaign' in task.metadata && task.metadata['季節'] == '春'",
        "task.outputs[0].url.contains('春') && task.outputs[0].url.endsWith(r'.mp4')",
        "event.type == 'task.completed' && event.id != ''",
        "event.timestamp > '2026-11-21' && event.timestamp < '2026-11-22T00:00:00Z'",
        "int(task.metadata.order) + 1 == 43 && size('ab') + 1 * 2 == 4",
        "task.error == null && has(task.metadata.order) && !has(task.metadata.nothing)",
        "task.confirmed ? task.status == 'completed' : false",
        "task.metadata.nothing == 'x' || task.status == 'completed'",
        "task.status == 'completed' || task.metadata.nothing == 'x'",
        "// why\n task.confirmed\n",
    ] {
        assert_eq!(matches(text), Ok(true), "{text}");
    }
    for text in ["false", "task.status == 'failed'", "task.progress == '100'", "!task.confirmed"] {
        assert_eq!(matches(text), Ok(false), "{text}");
    }
}

#[test]
fn what_is_not_there_is_no_match_and_no_error() {
    for text in [
        "task.metadata.nothing == 'x'",
        "task.metadata.nothing != 'x'",
        "!(task.metadata.nothing == 'x')",
        "task.nothing.at.all > 3",
        "task.outputs[7].kind == 'video'",
        "task.error.code == 'x'",
        "task.error.code.startsWith('x')",
        "task.completed_at > '2025'",
        "task.completed_at.contains('2025')",
        "int(task.completed_at) > 1",
        "size(task.error) > 0",
        "task.error - 1 > 0",
        "-task.error > 0",
        "task.error || false",
        "task.error ? true : true",
        "task.error",
        "event.nothing == 1",
        "event.data == task",
        "has(task.error.code)",
    ] {
        assert_eq!(matches(text), Ok(false), "{text}");
    }
    let filter = Filter::compile("task.status == 'completed'").unwrap();
    for other in [json!({}), json!(null), json!({"data": null}), json!({"data": {"team": "ops"}})] {
        assert_eq!(filter.matches(&other), Ok(false), "{other}");
    }
}

#[test]
fn what_goes_wrong_at_run_time_is_told() {
    for (text, wanted) in [
        ("task.model", "it gave a string, not true or false"),
        ("task.metadata", "it gave a map, not true or false"),
        ("task.progress && true", "no matching overload"),
        ("task.progress.contains('1')", "contains"),
        ("int(task.model) == 1", "int"),
        ("9223372036854775807 * task.progress > 0", "verflow"),
        ("task.progress / 0 == 1", "ivision by zero"),
    ] {
        let error = matches(text).expect_err(text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn refusals_say_what_and_where() {
    for (text, wanted) in [
        ("", "line 1, column 1: it is empty"),
        ("task.status ==", "line 1, column 15: it ends too early"),
        ("task.status == 'a' &&\n  tusk.model == 'b'", "line 2, column 3: unknown name `tusk`; did you mean `task`?"),
        ("'春' == model", "line 1, column 8: unknown name `model`; an expression speaks of `event` and `task`"),
        ("task.outputs.exists(o, o.kind == 'video')", "line 1, column 14: `exists` is a macro that loops"),
        ("task.outputs.all(o, true)", "`all` is a macro"),
        ("task.outputs.map(o, o.url) == []", "`map` is a macro"),
        ("task.outputs.filter(o, true) == []", "`filter` is a macro"),
        ("task.outputs.exists_one(o, true)", "`exists_one` is a macro"),
        ("task.model.startWith('a')", "line 1, column 12: unknown function `startWith`; did you mean `startsWith`?"),
        ("task.model.matches('^a')", "unknown function `matches`; it can be `size`"),
        ("contains(task.model, 'a')", "`contains` is not called so: write task.model.contains(\"…\")"),
        ("task.progress.int() == 1", "`int` is not called so: write int(task.progress)"),
        ("size(task.model, 1) == 1", "`size` is not called so"),
        ("task.model + 'a' == 'b'", "line 1, column 12: `+` is for numbers only"),
        ("task.a + task.b == 1", "`+` is for numbers only"),
        ("[1] + [2] == [1, 2]", "`+` is for numbers only"),
        ("(1 + 2) + (true ? 'a' : 'b') == 1", "`+` is for numbers only"),
        ("[task] == []", "line 1, column 2: a list or map that is written out holds constants only"),
        ("{'a': task.outputs} == {}", "holds constants only"),
        ("Task{a: 1} == 1", "objects cannot be made here"),
        ("has(task)", "`has` takes a field"),
        ("task.?a == 1", "line 1, column "),
        ("'abc", "line 1, column 1: cannot read `'abc`"),
        ("\"\"\"abc", "line 1, column "),
        ("'a' == '\\q'", "line 1, column "),
        ("99999999999999999999 > 1", "line 1, column 1: invalid int"),
        ("1e999 > 1.0", "line 1, column 1: invalid double"),
        ("task.a $ 1", "line 1, column 8: cannot read `$`"),
        ("task.a task.b", "line 1, column 8: `task` does not belong here"),
        ("true ? 1", "line 1, column "),
        ("'text'", "it gives a text"),
        ("size(task.outputs) + 1", "it gives a number, not true or false"),
        ("[true]", "it gives a list or map"),
    ] {
        let error = refusal(text);
        assert!(error.contains(wanted), "{text}: {error}");
        assert!(error.len() < 300, "{text}: {error}");
    }
}

#[test]
fn a_filter_is_its_text() {
    let filter = Filter::compile(" task.confirmed ").unwrap();
    assert_eq!(filter.text(), " task.confirmed ");
    assert_eq!(format!("{:?}", filter.clone()), "Filter(\" task.confirmed \")");
    assert_eq!(filter, filter.clone());
}

#[test]
fn length_and_brackets_are_bounded() {
    let fits = format!("task.model == '{}'", "é".repeat(CHARS_MAX - 16));
    assert_eq!(fits.chars().count(), CHARS_MAX);
    assert_eq!(matches(&fits), Ok(false));
    assert!(refusal(&(fits + " ")).contains("1025 characters"));
    assert!(refusal(&"(".repeat(1000)).contains("line 1, column 51: more than 50 opening brackets"));
}

/// Everything that we found to cost the parser or the evaluation much. Each must come to an end, on the
/// 2 MiB of stack that a test has, with an answer and soon.
#[test]
fn hostile_expressions_neither_break_nor_hang() {
    let wrapped = |n: usize, open: &str, middle: &str, close: &str| open.repeat(n) + middle + &close.repeat(n);
    let hostile = [
        wrapped(500, "(", "1", ")"),
        wrapped(50, "(", "true", ")"),
        wrapped(19, "(", "true", ")"),
        wrapped(50, "[", "1", "]") + " == []",
        wrapped(17, "[", "1", "]") + " == []",
        wrapped(50, "{1:", "1", "}") + " == {}",
        wrapped(50, "size(", "'a'", ")") + " == 1",
        wrapped(18, "!(", "true", ")"),
        wrapped(50, "!(", "true", ")"),
        wrapped(50, "true?(true):(", "true", ")"),
        "(".repeat(50),
        "[".repeat(50),
        "{1:".repeat(50),
        "task.a(".repeat(50),
        ") ( ".repeat(50),
        "(\")\"==".repeat(50),
        "!".repeat(1000) + "true",
        "-".repeat(1000) + "1 == 1",
        "task".to_owned() + &".b".repeat(500),
        "task".to_owned() + &"[0]".repeat(50) + &".b".repeat(400),
        "task".to_owned() + &".b()".repeat(50) + &".b".repeat(400),
        "1".to_owned() + &"-1".repeat(500) + " == 1",
        "1".to_owned() + &"-1".repeat(16) + " == 1",
        "9".to_owned() + &"*9".repeat(500) + " == 1",
        "1".to_owned() + &"==1".repeat(340),
        "true?true:".repeat(102) + "true",
        "true?".repeat(170) + "true" + &":0".repeat(85),
        "task.a&&".repeat(127) + "true",
        "task==task&&".repeat(85) + "true",
        "true&&false||".repeat(78) + "true",
        format!("1 in [{}1]", "1,".repeat(500)),
        "9".repeat(1024),
        format!("'{}", "a".repeat(1000)),
        "$".repeat(1024),
        "😀".repeat(1024),
        "a b ".repeat(256),
        ".".repeat(1024),
        "?".repeat(1024),
        "\"".repeat(1023),
        "\\".repeat(1024),
        "\0".repeat(1024),
        "\n".repeat(1023) + "x",
    ];
    let mut event = event();
    event["data"]["outputs"] = Value::Array(vec![event["data"]["outputs"][0].clone(); 100]);
    for text in hostile {
        let begun = Instant::now();
        let _ = Filter::compile(&text).map(|filter| filter.matches(&event));
        let took = begun.elapsed();
        // A hundred times what it takes, for machines under load.
        assert!(took.as_secs() < 5, "{took:?}: {}", &text[..60]);
    }
}
