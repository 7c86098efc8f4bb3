//! `where`: what else must hold of an event, written in CEL (contract §3).
//!
//! The expression sees `event` (`id`, `type`, `timestamp`) and `task` (the event's `data`). It is
//! checked when it is compiled, so that what runs is small: no loops, no strings or lists that grow,
//! at most `check::DEPTH_MAX` levels. What that leaves is bounded: the worst 1,024 characters that we
//! found take 20 ms to compile (a list of 500 numbers; fifty open brackets) and 12 ms to evaluate
//! (`task==task&&…` on an event of 100 outputs), both in a debug build; an ordinary one takes 10 µs.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use cel::parser::{Expression, Macro};
use cel::{Context, Env, ExecutionError, Value as CelValue};
use serde_json::Value;

mod check;
#[cfg(test)]
mod tests;

/// The longest expression, in characters (contract §3).
pub const CHARS_MAX: usize = 1024;

/// At most so many opening brackets. Bounds how deep the parser goes, whatever else is written.
const BRACKETS_MAX: usize = 50;

/// The stack of the thread that parses. The generated parser takes up to 190 KiB a bracket in a debug
/// build, and with all brackets and the longest chains of operators about 14 MiB.
const PARSER_STACK: usize = 32 * 1024 * 1024;

/// A compiled `where`. Cheap to clone.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    expression: Arc<Expression>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.text).finish()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Why an expression cannot be a filter, and where in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct FilterError {
    /// What is wrong, and what to write instead.
    pub message: String,
    /// The line, the first is 1.
    pub line: usize,
    /// The column in characters, the first is 1.
    pub column: usize,
}

impl FilterError {
    /// An error at the byte `at` of `text`.
    fn at(text: &str, at: usize, message: impl Into<String>) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            message: message.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl Filter {
    /// Reads and checks an expression.
    ///
    /// # Errors
    /// What is wrong and where: it is longer than [`CHARS_MAX`], it is no CEL, or it uses what is
    /// refused here (macros, unknown names, `+` on other than numbers, too deep nesting).
    pub fn compile(text: &str) -> Result<Self, FilterError> {
        if text.trim().is_empty() {
            return Err(FilterError::at(text, 0, "it is empty: leave `where` out to take every event"));
        }
        let chars = text.chars().count();
        if chars > CHARS_MAX {
            let message = format!("it has {chars} characters, and at most {CHARS_MAX} are allowed");
            return Err(FilterError::at(text, 0, message));
        }
        if let Some((at, _)) = text.match_indices(['(', '[', '{']).nth(BRACKETS_MAX) {
            let message = format!("more than {BRACKETS_MAX} opening brackets: split it into several subscriptions");
            return Err(FilterError::at(text, at, message));
        }
        let expression = on_a_deep_stack(text)?;
        Ok(Self { text: text.into(), expression: Arc::new(expression) })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether an event (contract §5, as JSON) passes. A field that is not there, or null where a value
    /// is needed, makes it no match.
    ///
    /// # Errors
    /// What went wrong at run time: the result is not true or false, a function does not take what it
    /// was given, a number is too large. To the subscription this is no match; it is counted and shown.
    pub fn matches(&self, event: &Value) -> Result<bool, String> {
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.evaluate(event)));
        evaluated.unwrap_or_else(|_| Err("the evaluation of the expression broke down".to_owned()))
    }

    fn evaluate(&self, event: &Value) -> Result<bool, String> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_as_val("event", pick(event, &["id", "type", "timestamp"]));
        context.add_variable_as_val("task", to_cel(event.get("data").unwrap_or(&Value::Null)));
        match CelValue::resolve(&self.expression, &context) {
            Ok(CelValue::Bool(matches)) => Ok(matches),
            Ok(CelValue::Null) => Ok(false),
            Ok(other) => Err(format!("it gave a {}, not true or false", other.type_of())),
            Err(error) if is_absence(&error) => Ok(false),
            Err(error) => Err(error.to_string().chars().take(300).collect()),
        }
    }
}

/// The functions of CEL, and of its macros only `has`, which needs no loop.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    // Only a second macro of that name could be refused, and there is none.
    let _ = env.add_macro(Macro::global("has", 1, check::expand_has));
    Arc::new(env)
});

/// Parses and checks on a thread of its own: the parser is recursive, generously so, and its caller may
/// stand on a small stack. A panic in it ends that thread and no other.
fn on_a_deep_stack(text: &str) -> Result<Expression, FilterError> {
    let owned = text.to_owned();
    let parsed = std::thread::Builder::new()
        .name("filter-parser".to_owned())
        .stack_size(PARSER_STACK)
        .spawn(move || check::parse(&ENV, &owned))
        .map(std::thread::JoinHandle::join);
    match parsed {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(FilterError::at(text, 0, "the parser broke down on it: write it in another way")),
        Err(error) => Err(FilterError::at(text, 0, format!("it could not be parsed now: {error}"))),
    }
}

/// Whether an evaluation ended because something is not there. Null counts as not there: that is how an
/// event writes what the provider did not give.
fn is_absence(error: &ExecutionError) -> bool {
    const NULL: &str = "null_type";
    match error {
        ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) => true,
        ExecutionError::NoSuchOverload(overload) => overload.argument_types().iter().any(|name| name == NULL),
        ExecutionError::UnexpectedType { got, .. } => got == NULL,
        ExecutionError::ValuesNotComparable(a, b) | ExecutionError::UnsupportedBinaryOperator(_, a, b) => {
            matches!(a, CelValue::Null) || matches!(b, CelValue::Null)
        }
        _ => false,
    }
}

/// An object with only these keys of `object`.
fn pick<'v>(object: &'v Value, keys: &[&'static str]) -> Box<dyn Val + 'v> {
    let picked = keys.iter().filter_map(|&key| Some((CelMapKey::from(key), to_cel(object.get(key)?))));
    Box::new(CelMap::from(picked.collect::<HashMap<_, _>>()))
}

/// A JSON value as CEL sees it; strings are borrowed. A whole number is an `int` and any other a `double`,
/// so that both compare with both.
fn to_cel(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Box::new(CelInt::from(int)),
            (None, Some(uint)) => Box::new(CelUInt::from(uint)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(to_cel).collect::<Vec<_>>())),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (CelMapKey::from(key.as_str()), to_cel(value)));
            Box::new(CelMap::from(fields.collect::<HashMap<_, _>>()))
        }
    }
}
