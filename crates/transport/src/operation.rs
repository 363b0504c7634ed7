//! What an operation of an API takes and answers: said where its route is registered, beside the role, and read by the
//! document of the API ([`Routes::document`](crate::Routes::document)).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Makes the schema of a type.
pub(crate) type Make = fn(&mut SchemaGenerator) -> Schema;

/// JSON, the content type of all that is not said otherwise.
pub(crate) const JSON: &str = "application/json";
/// What a form of a page sends.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
/// Events, as browsers take them.
pub(crate) const EVENTS: &str = "text/event-stream";

/// An operation of the API.
#[derive(Clone)]
#[must_use]
pub struct Operation {
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) path: Option<&'static str>,
    pub(crate) parts: Vec<Part>,
    pub(crate) query: Option<Make>,
    pub(crate) headers: Vec<Part>,
    pub(crate) body: Vec<Content>,
    pub(crate) body_required: bool,
    pub(crate) answers: Vec<(u16, &'static str, Option<Content>)>,
    pub(crate) may: Vec<u16>,
}

/// A parameter in the path or in the head.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) schema: Make,
}

/// A body: its content type, and its schema where it is JSON or a form.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) kind: &'static str,
    pub(crate) schema: Option<Make>,
}

impl Content {
    fn json<T: JsonSchema>() -> Self {
        Content { kind: JSON, schema: Some(|of| of.subschema_for::<T>()) }
    }
}

/// Describes an operation: `id` is a verb and a noun in `snake_case`, unique in the API; `summary` is a sentence.
pub fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation {
        id,
        summary,
        path: None,
        parts: Vec::new(),
        query: None,
        headers: Vec::new(),
        body: Vec::new(),
        body_required: true,
        answers: Vec::new(),
        may: Vec::new(),
    }
}

impl Operation {
    /// Says that it is part of a route for more than it: its own path is this.
    pub fn at(mut self, path: &'static str) -> Self {
        self.path = Some(path);
        self
    }

    /// Describes a part of the path by its type.
    pub fn part<T: JsonSchema>(mut self, name: &'static str, description: &'static str) -> Self {
        self.parts.push(Part { name, description, schema: T::json_schema });
        self
    }

    /// Takes a query: each field of `T` is a parameter.
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// Takes a header that may be left out.
    pub fn header<T: JsonSchema>(mut self, name: &'static str, description: &'static str) -> Self {
        self.headers.push(Part { name, description, schema: T::json_schema });
        self
    }

    /// Takes JSON.
    pub fn takes<T: JsonSchema>(mut self) -> Self {
        self.body.push(Content::json::<T>());
        self
    }

    /// Takes JSON, or the fields of a form of a page, or nothing.
    pub fn takes_order<T: JsonSchema>(mut self) -> Self {
        self.body.push(Content::json::<T>());
        self.body.push(Content { kind: FORM, schema: Some(|of| of.subschema_for::<T>()) });
        self.body_required = false;
        self.answers.push((303, "Of a form: leads to the page of what it was about.", None));
        self
    }

    /// Also takes the fields of a form of a page, which are not those of the JSON.
    pub fn or_form<T: JsonSchema>(mut self) -> Self {
        self.body.push(Content { kind: FORM, schema: Some(|of| of.subschema_for::<T>()) });
        self.answers.push((303, "Of a form: leads to the page of what it was about.", None));
        self
    }

    /// Takes bytes.
    pub fn takes_bytes(mut self) -> Self {
        self.body.push(Content { kind: "application/octet-stream", schema: None });
        self
    }

    /// Says that the body may be left out.
    pub fn or_nothing(mut self) -> Self {
        self.body_required = false;
        self
    }

    /// Answers 200 with JSON.
    pub fn answers<T: JsonSchema>(self) -> Self {
        self.answers_with::<T>(200, "Done.")
    }

    /// Answers with JSON and another status.
    pub fn answers_with<T: JsonSchema>(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push((status, description, Some(Content::json::<T>())));
        self
    }

    /// Answers with bytes of a content type.
    pub fn answers_bytes(mut self, status: u16, kind: &'static str, description: &'static str) -> Self {
        self.answers.push((status, description, Some(Content { kind, schema: None })));
        self
    }

    /// Answers with events whose data is JSON.
    pub fn answers_events<T: JsonSchema>(mut self, description: &'static str) -> Self {
        self.answers.push((
            200,
            description,
            Some(Content { kind: EVENTS, schema: Some(|of| of.subschema_for::<T>()) }),
        ));
        self
    }

    /// Answers without a body.
    pub fn answers_nothing(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push((status, description, None));
        self
    }

    /// May refuse with these statuses too, in the one error shape. Those that follow from the role, the path, the query
    /// and the body need not be named.
    pub fn may_refuse(mut self, statuses: &[u16]) -> Self {
        self.may.extend_from_slice(statuses);
        self
    }
}

macro_rules! schemas {
    ($($(#[doc = $doc:literal])* $name:ident = $schema:tt;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!($schema)
            }
        }
    )*};
}

schemas! {
    /// The text of a ULID, by which builds, attempts and events go.
    UlidText = {
        "type": "string", "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$", "examples": ["01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    };
    /// A name as repositories and builders have one.
    NameText = { "type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$" };
    /// A name as machines have one, and other hosts of a network.
    MachineText = { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$" };
    /// A commit: 40 hexadecimal digits.
    HashText = { "type": "string", "pattern": "^[0-9a-f]{40}$" };
    /// A digest: 64 hexadecimal digits.
    DigestText = { "type": "string", "pattern": "^[0-9a-f]{64}$" };
    /// A branch, a tag or a commit, as git takes it.
    RevText = {
        "type": "string", "maxLength": 200,
        "pattern": r"^[^\x00-\x20\x7f:?*\[\\{}.\-](\.?[^\x00-\x20\x7f:?*\[\\{}.])*$", "examples": ["main"],
    };
    /// A part of a path: not empty, without control characters.
    SegmentText = { "type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$" };
    /// A whole number that the database can hold.
    Count = { "type": "integer", "format": "uint64", "minimum": 0, "maximum": i64::MAX };
}
