//! What a form sends.

use actix_web::web::{Bytes, Payload};

use super::super::callbacks::read;
use super::super::problem::Problem;

/// No form of ours is longer.
const FORM_MAX: usize = 256 * 1024;

/// The fields of a form, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads it.
    ///
    /// # Errors
    /// [`Problem::TooLarge`] and [`Problem::TooSlow`].
    pub(super) async fn read(payload: Payload) -> Result<Self, Problem> {
        Ok(Self::of(&read(payload, FORM_MAX).await?))
    }

    pub(super) fn of(body: &Bytes) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// What was written into a field; `None` where it was left empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).next()
    }

    /// Everything that was chosen under one name.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(found, _)| found == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_left_empty_is_not_there() {
        let form = Form::of(&Bytes::from_static(b"a=+&b=x%26y&c=1&c=2&a=z"));
        assert_eq!((form.text("a"), form.text("b"), form.text("d")), (Some("z"), Some("x&y"), None));
        assert_eq!(form.texts("c").collect::<Vec<_>>(), ["1", "2"]);
    }
}
