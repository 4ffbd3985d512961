//! A receipt's claims as CBOR and back: text keys, deterministic encoding (RFC 8949, section 4.2.1).

use std::collections::BTreeMap;

use ciborium::Value;
use ciborium::value::Integer;

use crate::claims::{Crops, Map, Model, Receipt, Scores, View};
use crate::error::{Error, Result};
use crate::limits;

/// The version that this crate writes and reads.
const VERSION: u64 = 1;

/// The payload of a receipt whose claims were checked.
pub(crate) fn encode(receipt: &Receipt) -> Result<Vec<u8>> {
    let crops = &receipt.crops;
    let model = &receipt.model;
    let breasts = receipt.breasts.iter().map(|(breast, means)| (breast.as_str(), Some(scores(means))));
    let payload = map([
        ("v", Some(Value::from(VERSION))),
        ("nonce", receipt.nonce.clone().map(Value::Bytes)),
        ("time", Some(Value::from(receipt.time_ms()?))),
        ("software", Some(text(&receipt.software))),
        ("kernels", Some(text(&receipt.kernels))),
        (
            "model",
            Some(map([
                ("name", Some(text(&model.name))),
                ("version", Some(Value::from(model.version))),
                ("digest", Some(Value::Bytes(model.digest.to_vec()))),
            ])),
        ),
        ("preprocessing", Some(text(&receipt.preprocessing))),
        ("crops", Some(map([("seed", crops.seed.map(Value::from)), ("count", Some(Value::from(crops.count)))]))),
        ("views", Some(Value::Array(receipt.views.iter().map(view).collect()))),
        ("breasts", Some(map(breasts)).filter(|_| !receipt.breasts.is_empty())),
        ("findings", findings(&receipt.findings)),
    ]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&payload, &mut bytes).map_err(|_| Error::Payload)?;
    Ok(bytes)
}

fn view(view: &View) -> Value {
    map([
        ("view", Some(text(&view.view))),
        ("laterality", view.laterality().map(text)),
        ("bytes_sha256", Some(Value::Bytes(view.bytes_sha256.to_vec()))),
        ("pixels_sha256", Some(Value::Bytes(view.pixels_sha256.to_vec()))),
        ("rows", Some(Value::from(view.rows))),
        ("columns", Some(Value::from(view.columns))),
        ("sop_instance_uid", view.sop_instance_uid.as_deref().map(text)),
        ("window", Some(Value::Array(view.window.map(Value::from).to_vec()))),
        ("best_center", Some(Value::Array(view.best_center.map(Value::from).to_vec()))),
        ("scores", Some(scores(&view.scores)).filter(|_| !view.scores.is_empty())),
        ("map", view.map.as_ref().map(encode_map)),
        ("findings", findings(&view.findings)),
    ])
}

fn encode_map(described: &Map) -> Value {
    map([("label", Some(text(&described.label))), ("sha256", Some(Value::Bytes(described.sha256.to_vec())))])
}

/// Left out where there are none.
fn findings(codes: &[String]) -> Option<Value> {
    let codes: Vec<_> = codes.iter().map(|code| text(code)).collect();
    if codes.is_empty() { None } else { Some(Value::Array(codes)) }
}

fn scores(scores: &Scores) -> Value {
    map(scores.iter().map(|(label, score)| (label.as_str(), Some(Value::Float(*score)))))
}

/// A map of the entries that are there. Deterministic order is that of the encoded keys, whose first byte grows with the length.
fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    let mut entries: Vec<_> =
        entries.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect();
    entries.sort_by_key(|(name, _)| (name.len(), *name));
    Value::Map(entries.into_iter().map(|(name, value)| (text(name), value)).collect())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Reads a payload. Only what [`encode`] writes is accepted: anything else that says the same encodes to other bytes.
pub(crate) fn decode(payload: &[u8]) -> Result<Receipt> {
    let value: Value =
        ciborium::de::from_reader_with_recursion_limit(payload, limits::CBOR_DEPTH).map_err(|_| Error::Payload)?;
    let mut fields = Fields::of(value)?;
    match fields.number("v")? {
        VERSION => {}
        other => return Err(Error::Version(other)),
    }
    let receipt = receipt(fields)?;
    receipt.check()?;
    if encode(&receipt)? == payload { Ok(receipt) } else { Err(Error::NotDeterministic) }
}

fn receipt(mut fields: Fields) -> Result<Receipt> {
    let views = array("views", fields.take("views")?)?;
    let receipt = Receipt {
        nonce: fields.optional("nonce").map(|nonce| bytes("nonce", nonce)).transpose()?,
        time: Receipt::time_of(fields.number("time")?)?,
        software: fields.text("software")?,
        kernels: fields.text("kernels")?,
        model: read_model(fields.take("model")?)?,
        preprocessing: fields.text("preprocessing")?,
        crops: read_crops(fields.take("crops")?)?,
        views: views.into_iter().map(read_view).collect::<Result<_>>()?,
        breasts: fields.optional("breasts").map(read_breasts).transpose()?.unwrap_or_default(),
        findings: fields.findings()?,
    };
    fields.end()?;
    Ok(receipt)
}

fn read_model(value: Value) -> Result<Model> {
    let mut fields = Fields::of(value)?;
    let model =
        Model { name: fields.text("name")?, version: fields.number("version")?, digest: fields.digest("digest")? };
    fields.end()?;
    Ok(model)
}

fn read_crops(value: Value) -> Result<Crops> {
    let mut fields = Fields::of(value)?;
    let seed = fields.optional("seed").map(|seed| number("seed", seed)).transpose()?;
    let crops = Crops { seed, count: fields.number("count")? };
    fields.end()?;
    Ok(crops)
}

fn read_view(value: Value) -> Result<View> {
    let mut fields = Fields::of(value)?;
    let laterality = fields.text("laterality")?;
    let uid = fields.optional("sop_instance_uid").map(|uid| string("sop_instance_uid", uid)).transpose()?;
    let view = View {
        view: fields.text("view")?,
        bytes_sha256: fields.digest("bytes_sha256")?,
        pixels_sha256: fields.digest("pixels_sha256")?,
        rows: fields.number("rows")?,
        columns: fields.number("columns")?,
        sop_instance_uid: uid,
        window: fields.numbers("window")?,
        best_center: fields.numbers("best_center")?,
        scores: fields.optional("scores").map(read_scores).transpose()?.unwrap_or_default(),
        map: fields.optional("map").map(read_map).transpose()?,
        findings: fields.findings()?,
    };
    fields.end()?;
    if view.laterality() == Some(laterality.as_str()) {
        Ok(view)
    } else {
        Err(Error::Field { field: "laterality", wanted: "the side that the view shows" })
    }
}

fn read_map(value: Value) -> Result<Map> {
    let mut fields = Fields::of(value)?;
    let map = Map { label: fields.text("label")?, sha256: fields.digest("sha256")? };
    fields.end()?;
    Ok(map)
}

fn read_breasts(value: Value) -> Result<BTreeMap<String, Scores>> {
    Fields::of(value)?.0.into_iter().map(|(breast, scores)| Ok((breast, read_scores(scores)?))).collect()
}

fn read_scores(value: Value) -> Result<Scores> {
    let score = |(label, score): (String, Value)| {
        let score = score.as_float().ok_or(Error::Field { field: "scores", wanted: "a floating-point number each" });
        Ok((label, score?))
    };
    Fields::of(value)?.0.into_iter().map(score).collect()
}

/// A map's values, each under its name until it is taken.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn of(value: Value) -> Result<Self> {
        let Value::Map(entries) = value else { return Err(Error::Payload) };
        let mut fields = BTreeMap::new();
        for (key, value) in entries {
            let Value::Text(name) = key else { return Err(Error::Payload) };
            if fields.insert(name, value).is_some() {
                return Err(Error::Payload);
            }
        }
        Ok(Self(fields))
    }

    fn optional(&mut self, field: &'static str) -> Option<Value> {
        self.0.remove(field)
    }

    fn take(&mut self, field: &'static str) -> Result<Value> {
        self.optional(field).ok_or(Error::MissingField(field))
    }

    fn text(&mut self, field: &'static str) -> Result<String> {
        string(field, self.take(field)?)
    }

    fn number<T: TryFrom<Integer>>(&mut self, field: &'static str) -> Result<T> {
        number(field, self.take(field)?)
    }

    fn numbers<T: TryFrom<Integer>, const N: usize>(&mut self, field: &'static str) -> Result<[T; N]> {
        let numbers: Result<Vec<T>> =
            array(field, self.take(field)?)?.into_iter().map(|value| number(field, value)).collect();
        numbers?.try_into().map_err(|_| Error::Field { field, wanted: "an array of as many numbers as it has" })
    }

    fn findings(&mut self) -> Result<Vec<String>> {
        let codes = self.optional("findings").map(|codes| array("findings", codes)).transpose()?;
        codes.unwrap_or_default().into_iter().map(|code| string("findings", code)).collect()
    }

    fn digest<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        let digest = bytes(field, self.take(field)?)?;
        digest.try_into().map_err(|_| Error::Field { field, wanted: "a digest of its length" })
    }

    fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::UnknownField) }
    }
}

fn string(field: &'static str, value: Value) -> Result<String> {
    value.into_text().map_err(|_| Error::Field { field, wanted: "text" })
}

fn bytes(field: &'static str, value: Value) -> Result<Vec<u8>> {
    value.into_bytes().map_err(|_| Error::Field { field, wanted: "a byte string" })
}

fn array(field: &'static str, value: Value) -> Result<Vec<Value>> {
    value.into_array().map_err(|_| Error::Field { field, wanted: "an array" })
}

fn number<T: TryFrom<Integer>>(field: &'static str, value: Value) -> Result<T> {
    let number = value.as_integer().and_then(|number| T::try_from(number).ok());
    number.ok_or(Error::Field { field, wanted: "an integer in its range" })
}
