//! Content trees of structured reports (PS3.3, C.17.3).

use crate::attribute::Attribute;
use crate::code::Code;
use crate::dataset::DataSet;
use crate::exam::Source;
use crate::{Result, Uid};

/// How an item stands to the one above it (PS3.3, C.17.3.2.4).
#[derive(Clone, Copy)]
pub(crate) enum Relation {
    Contains,
    AcquisitionContext,
    ConceptModifier,
    InferredFrom,
    ObservationContext,
    Properties,
}

impl Relation {
    fn term(self) -> &'static str {
        match self {
            Self::Contains => "CONTAINS",
            Self::AcquisitionContext => "HAS ACQ CONTEXT",
            Self::ConceptModifier => "HAS CONCEPT MOD",
            Self::InferredFrom => "INFERRED FROM",
            Self::ObservationContext => "HAS OBS CONTEXT",
            Self::Properties => "HAS PROPERTIES",
        }
    }
}

enum Value {
    Container,
    Code(Code),
    Text(String),
    Number(String, Code),
    Date(String),
    Time(String),
    Uid(Uid),
    Image { class: Uid, instance: Uid },
    Elsewhere(Vec<u32>),
}

/// A content item with what is below it.
pub(crate) struct Content {
    name: Option<Code>,
    value: Value,
    below: Vec<(Relation, Content)>,
}

impl Content {
    fn new(name: impl Into<Option<Code>>, value: Value) -> Self {
        Self { name: name.into(), value, below: Vec::new() }
    }

    pub(crate) fn container(name: Code) -> Self {
        Self::new(name, Value::Container)
    }

    pub(crate) fn code(name: Code, value: Code) -> Self {
        Self::new(name, Value::Code(value))
    }

    pub(crate) fn text(name: Code, text: impl Into<String>) -> Self {
        Self::new(name, Value::Text(text.into()))
    }

    pub(crate) fn number(name: Code, decimal: String, unit: Code) -> Self {
        Self::new(name, Value::Number(decimal, unit))
    }

    pub(crate) fn date(name: Code, date: &str) -> Self {
        Self::new(name, Value::Date(date.to_owned()))
    }

    pub(crate) fn time(name: Code, time: &str) -> Self {
        Self::new(name, Value::Time(time.to_owned()))
    }

    pub(crate) fn uid(name: Code, uid: Uid) -> Self {
        Self::new(name, Value::Uid(uid))
    }

    pub(crate) fn image(source: &Source) -> Self {
        let (class, instance) = (source.sop_class_uid.clone(), source.sop_instance_uid.clone());
        Self::new(None, Value::Image { class, instance })
    }

    /// An item that stands elsewhere in the tree: its place at each level, from the root, counted from 1 (PS3.3, C.17.3.2.5).
    pub(crate) fn elsewhere(place: Vec<u32>) -> Self {
        Self::new(None, Value::Elsewhere(place))
    }

    /// The same, with an item below it, after those that it has.
    pub(crate) fn with(mut self, relation: Relation, item: Self) -> Self {
        self.below.push((relation, item));
        self
    }

    /// The same, with items below it.
    pub(crate) fn with_all(self, relation: Relation, items: impl IntoIterator<Item = Self>) -> Self {
        items.into_iter().fold(self, |parent, item| parent.with(relation, item))
    }

    /// The root of a document, by a template of PS3.16.
    pub(crate) fn write_root(&self, data: &mut DataSet, template: &str) -> Result<()> {
        let mut identification = DataSet::default();
        identification.required(Attribute::MAPPING_RESOURCE, "DCMR")?;
        identification.required(Attribute::TEMPLATE_IDENTIFIER, template)?;
        data.items(Attribute::TEMPLATE, vec![identification]);
        self.write(data)
    }

    fn write(&self, data: &mut DataSet) -> Result<()> {
        if let Some(name) = self.name {
            data.items(Attribute::CONCEPT_NAME, vec![name.item()?]);
        }
        self.write_value(data)?;
        let mut below = Vec::new();
        for (relation, content) in &self.below {
            let mut item = DataSet::default();
            item.required(Attribute::RELATIONSHIP, relation.term())?;
            content.write(&mut item)?;
            below.push(item);
        }
        if !below.is_empty() {
            data.items(Attribute::CONTENT, below);
        }
        Ok(())
    }

    fn write_value(&self, data: &mut DataSet) -> Result<()> {
        let mut kind = |term| data.required(Attribute::VALUE_TYPE, term);
        match &self.value {
            Value::Container => {
                kind("CONTAINER")?;
                data.required(Attribute::CONTINUITY, "SEPARATE")?;
            }
            Value::Code(code) => {
                kind("CODE")?;
                data.items(Attribute::CONCEPT_CODE, vec![code.item()?]);
            }
            Value::Text(text) => {
                kind("TEXT")?;
                data.required(Attribute::TEXT_VALUE, text)?;
            }
            Value::Number(decimal, unit) => {
                kind("NUM")?;
                let mut measured = DataSet::default();
                measured.required(Attribute::NUMERIC_VALUE, decimal)?;
                measured.items(Attribute::UNITS, vec![unit.item()?]);
                data.items(Attribute::MEASURED_VALUE, vec![measured]);
            }
            Value::Date(date) => {
                kind("DATE")?;
                data.required(Attribute::DATE, date)?;
            }
            Value::Time(time) => {
                kind("TIME")?;
                data.required(Attribute::TIME, time)?;
            }
            Value::Uid(uid) => {
                kind("UIDREF")?;
                data.uid(Attribute::UID, uid);
            }
            Value::Image { class, instance } => {
                kind("IMAGE")?;
                data.items(Attribute::REFERENCED_SOP, vec![reference(class, instance)]);
            }
            Value::Elsewhere(place) => data.longs(Attribute::CONTENT_ITEM, place),
        }
        Ok(())
    }
}

/// A reference to an object (PS3.3, 10.8).
pub(crate) fn reference(class: &Uid, instance: &Uid) -> DataSet {
    let mut data = DataSet::default();
    data.uid(Attribute::REFERENCED_SOP_CLASS, class);
    data.uid(Attribute::REFERENCED_SOP_INSTANCE, instance);
    data
}
