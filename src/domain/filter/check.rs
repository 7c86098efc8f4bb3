//! What a filter may say: the parser's answer put in our words, and the rules that keep an evaluation
//! small. The rules are on the syntax tree alone, so that whatever compiles can be run.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::parser::{Expression, MacroExprHelper, ParseError, ParseErrors};
use cel::{Env, Program};

use super::FilterError;
use crate::domain::spelling::{nearest, suggestion};

/// At most so many levels from the whole expression down to a constant or a name. An evaluation takes up
/// to 60 KiB of stack a level in a debug build, and a worker's stack has 2 MiB.
pub(super) const DEPTH_MAX: usize = 20;

/// What an expression can speak of.
const VARIABLES: [&str; 2] = ["event", "task"];

/// Every function: its name, whether it is called on a value (`None`: either way), and how many
/// arguments it takes then.
const FUNCTIONS: [(&str, Option<bool>, usize); 9] = [
    ("size", None, 0),
    ("contains", Some(true), 1),
    ("startsWith", Some(true), 1),
    ("endsWith", Some(true), 1),
    ("int", Some(false), 1),
    ("uint", Some(false), 1),
    ("double", Some(false), 1),
    ("string", Some(false), 1),
    ("bool", Some(false), 1),
];

/// The macros of CEL that loop.
const LOOPS: [&str; 5] = [operators::ALL, operators::EXISTS, operators::EXISTS_ONE, operators::MAP, operators::FILTER];

/// Parses `text` and holds it against the rules.
pub(super) fn parse(env: &Env, text: &str) -> Result<Expression, FilterError> {
    let program: Program = env.compile(text).map_err(|errors| explain(text, &errors))?;
    let check = Check { text, places: program.source_info() };
    check.expression(program.expression(), 1)?;
    check.may_be_true(program.expression())?;
    Ok(program.expression().clone())
}

/// `has(a.b)`: whether the field is there. As CEL's own macro, which comes only together with the loops.
pub(super) fn expand_has(
    helper: &mut MacroExprHelper<'_>,
    _target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
) -> Result<Option<IdedExpr>, ParseError> {
    match args.pop() {
        Some(IdedExpr { expr: Expr::Select(mut select), .. }) => {
            select.test = true;
            Ok(Some(helper.next_expr(Expr::Select(select))))
        }
        other => {
            Err(helper.new_error(other.map_or(0, |arg| arg.id), "`has` takes a field, as in has(task.metadata.order)"))
        }
    }
}

/// The first of the parser's errors, in short.
fn explain(text: &str, errors: &ParseErrors) -> FilterError {
    let Some(error) = errors.errors.first() else {
        return FilterError::at(text, 0, "it is not a CEL expression");
    };
    let message = in_our_words(&error.msg);
    let number = |position: isize| usize::try_from(position).unwrap_or(1).max(1);
    FilterError { message, line: number(error.pos.0), column: number(error.pos.1) }
}

/// The parser's messages name its own inner parts and every token that could stand there.
fn in_our_words(message: &str) -> String {
    let quoted = || {
        let from = message.find('\'').map_or(message.len(), |quote| quote + 1);
        let rest = message[from..].split("' expecting").next().unwrap_or_default();
        rest.strip_suffix('\'').unwrap_or(rest).chars().take(40).collect::<String>()
    };
    if message.contains("'<EOF>'") {
        "it ends too early: something is missing here".to_owned()
    } else if message.contains("token recognition error") {
        format!("cannot read `{}`", quoted())
    } else if message.starts_with("Syntax error: ") && !message.contains("OtherError") {
        format!("`{}` does not belong here", quoted())
    } else if message.contains("Recursion limit") {
        "it is nested too deeply".to_owned()
    } else if message.starts_with("Incomplete") {
        "it is incomplete".to_owned()
    } else {
        message.chars().take(200).collect()
    }
}

struct Check<'a> {
    text: &'a str,
    places: &'a SourceInfo,
}

impl Check<'_> {
    fn wrong(&self, node: &IdedExpr, message: impl Into<String>) -> FilterError {
        let mut at = self.places.offset_for(node.id).map_or(0, |(start, _)| start as usize);
        if let Expr::Call(call) = &node.expr {
            // A call is placed at its bracket; its name begins before that.
            let named = self.text.get(..at).is_some_and(|before| before.ends_with(&call.func_name));
            at -= if named { call.func_name.len() } else { 0 };
        }
        FilterError::at(self.text, at, message)
    }

    fn expression(&self, node: &IdedExpr, depth: usize) -> Result<(), FilterError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong(node, format!("it is nested more than {DEPTH_MAX} levels deep")));
        }
        match &node.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) => self.expression(&select.operand, depth + 1),
            Expr::Call(call) => self.call(node, call, depth),
            Expr::List(_) | Expr::Map(_) => self.constant(node, depth),
            Expr::Comprehension(_) => Err(self.wrong(node, "macros that loop are not allowed")),
            Expr::Struct(_) | Expr::Unspecified => Err(self.wrong(node, "objects cannot be made here")),
        }
    }

    fn variable(&self, node: &IdedExpr, name: &str) -> Result<(), FilterError> {
        if VARIABLES.contains(&name) {
            return Ok(());
        }
        let hint = match nearest(name, VARIABLES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "an expression speaks of `event` and `task`, as in task.model".to_owned(),
        };
        Err(self.wrong(node, format!("unknown name `{name}`; {hint}")))
    }

    fn call(&self, node: &IdedExpr, call: &CallExpr, depth: usize) -> Result<(), FilterError> {
        let name = call.func_name.as_str();
        if LOOPS.contains(&name) {
            return Err(self.wrong(node, format!("`{name}` is a macro that loops, and those are not allowed here")));
        }
        if name == operators::ADD && !call.args.iter().all(is_number) {
            let message = "`+` is for numbers only: write int(…) or double(…) around a field; texts and lists \
                           cannot be joined here";
            return Err(self.wrong(node, message));
        }
        if !is_operator(name) {
            self.function(node, call)?;
        }
        call.target.iter().map(Box::as_ref).chain(&call.args).try_for_each(|part| self.expression(part, depth + 1))
    }

    fn function(&self, node: &IdedExpr, call: &CallExpr) -> Result<(), FilterError> {
        let name = call.func_name.as_str();
        let Some((_, on_value, count)) = FUNCTIONS.into_iter().find(|(known, ..)| *known == name) else {
            let hint = suggestion(name, FUNCTIONS.iter().map(|(known, ..)| *known).chain(["has"]));
            return Err(self.wrong(node, format!("unknown function `{name}`; {hint}")));
        };
        let given = call.args.len() + usize::from(on_value.is_none() && call.target.is_some());
        let wanted = if on_value.is_none() { 1 } else { count };
        if on_value.is_some_and(|on_value| on_value != call.target.is_some()) || given != wanted {
            let usage = match on_value {
                Some(true) => format!("task.model.{name}(\"…\")"),
                _ => format!("{name}(task.progress)"),
            };
            return Err(self.wrong(node, format!("`{name}` is not called so: write {usage}")));
        }
        Ok(())
    }

    /// Lists and maps hold constants only, so that none can hold the event many times over.
    fn constant(&self, node: &IdedExpr, depth: usize) -> Result<(), FilterError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong(node, format!("it is nested more than {DEPTH_MAX} levels deep")));
        }
        match &node.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Call(call) if call.func_name == operators::NEGATE => {
                call.args.iter().try_for_each(|operand| self.constant(operand, depth + 1))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.constant(element, depth + 1)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.constant(&entry.key, depth + 1)?;
                    self.constant(&entry.value, depth + 1)
                }
                EntryExpr::StructField(_) => Err(self.wrong(node, "objects cannot be made here")),
            }),
            _ => Err(self.wrong(node, "a list or map that is written out holds constants only")),
        }
    }

    /// Refuses what can never give true or false.
    fn may_be_true(&self, root: &IdedExpr) -> Result<(), FilterError> {
        let gives = match &root.expr {
            Expr::Literal(LiteralValue::Boolean(_)) => return Ok(()),
            Expr::Literal(LiteralValue::String(_)) => "a text",
            Expr::Literal(_) => "a constant",
            Expr::List(_) | Expr::Map(_) => "a list or map",
            Expr::Call(call) if call.func_name == "string" => "a text",
            Expr::Call(_) if is_number(root) => "a number",
            _ => return Ok(()),
        };
        Err(self.wrong(root, format!("it gives {gives}, not true or false: compare it with something")))
    }
}

/// Whether it is an operator: CEL writes those with signs around the operands' places.
fn is_operator(name: &str) -> bool {
    name == operators::IN || !name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Whether the value can only be a number, by how it is written: `-`, `*`, `/` and `%` are for numbers
/// alone, so only the operands of `+` have to be looked at.
fn is_number(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(literal) => {
            matches!(literal, LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_))
        }
        Expr::Call(call) => match call.func_name.as_str() {
            "size" | "int" | "uint" | "double" => true,
            operators::ADD => call.args.iter().all(is_number),
            operators::NEGATE | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO => {
                true
            }
            _ => false,
        },
        _ => false,
    }
}
