//! What all objects say: whose they are, of which study, by which device, when; and the document modules of reports.

use std::collections::BTreeMap;

use crate::attribute::Attribute;
use crate::content::reference;
use crate::dataset::DataSet;
use crate::exam::{Exam, Identity, Source};
use crate::{Result, Uid};

/// Manufacturer (0008,0070): who wrote the program.
pub(crate) const MANUFACTURER: &str = "Cloister";

/// UTF-8 (PS3.3, C.12.1.1.2): sources may come in any character set, and what is copied is text by then.
const CHARACTER_SET: &str = "ISO_IR 192";

/// Digits of the model's digest that fit a serial number (LO, 64 characters).
const SERIAL_DIGITS: usize = 64;

/// Patient, General Study, series, Enhanced General Equipment and SOP Common modules (PS3.3, C.7.1.1, C.7.2.1, C.7.3.1, C.7.5.2, C.12.1).
pub(crate) fn describe(
    exam: &Exam,
    source: &Source,
    identity: &Identity,
    class: &str,
    modality: &str,
    series: &str,
) -> Result<DataSet> {
    let mut data = DataSet::default();
    data.required(Attribute::CHARACTER_SET, CHARACTER_SET)?;
    data.required(Attribute::SOP_CLASS, class)?;
    data.uid(Attribute::SOP_INSTANCE, &identity.instance);
    source.patient.write(&mut data)?;
    source.study.write(&mut data)?;
    data.required(Attribute::MODALITY, modality)?;
    data.uid(Attribute::SERIES_INSTANCE, &identity.series);
    data.required(Attribute::SERIES_NUMBER, &identity.series_number.to_string())?;
    data.required(Attribute::SERIES_DESCRIPTION, series)?;
    data.required(Attribute::MANUFACTURER, MANUFACTURER)?;
    data.required(Attribute::MODEL_NAME, &exam.model.name)?;
    let digest = hex::encode(exam.model.digest);
    data.required(Attribute::SERIAL_NUMBER, digest.get(..SERIAL_DIGITS).unwrap_or_default())?;
    data.required(Attribute::SOFTWARE_VERSIONS, &exam.software)?;
    data.required(Attribute::INSTANCE_NUMBER, &identity.instance_number.to_string())?;
    for (date, time) in
        [(Attribute::CREATION_DATE, Attribute::CREATION_TIME), (Attribute::CONTENT_DATE, Attribute::CONTENT_TIME)]
    {
        data.required(date, &exam.date())?;
        data.required(time, &exam.clock())?;
    }
    Ok(data)
}

/// SR Document Series and SR Document General modules (PS3.3, C.17.1, C.17.2).
pub(crate) fn document(exam: &Exam, data: &mut DataSet) -> Result<()> {
    data.items(Attribute::PERFORMED_STEP, Vec::new());
    data.items(Attribute::PERFORMED_PROCEDURE, Vec::new());
    data.required(Attribute::COMPLETION, "COMPLETE")?;
    data.required(Attribute::VERIFICATION, "UNVERIFIED")?;
    data.items(Attribute::EVIDENCE, evidence(exam));
    Ok(())
}

/// Every image that the content refers to, by study and series (PS3.3, C.17.2.1).
fn evidence(exam: &Exam) -> Vec<DataSet> {
    let mut studies: BTreeMap<&Uid, BTreeMap<&Uid, Vec<DataSet>>> = BTreeMap::new();
    for scored in exam.in_order() {
        let source = &scored.source;
        let series = studies.entry(&source.study.instance_uid).or_default();
        let images = series.entry(&source.series_instance_uid).or_default();
        images.push(reference(&source.sop_class_uid, &source.sop_instance_uid));
    }
    let series_item = |(series, images): (&Uid, Vec<DataSet>)| {
        let mut data = DataSet::default();
        data.uid(Attribute::SERIES_INSTANCE, series);
        data.items(Attribute::REFERENCED_SOP, images);
        data
    };
    let study_item = |(study, series): (&Uid, BTreeMap<&Uid, Vec<DataSet>>)| {
        let mut data = DataSet::default();
        data.uid(Attribute::STUDY_INSTANCE, study);
        data.items(Attribute::REFERENCED_SERIES, series.into_iter().map(series_item).collect());
        data
    };
    studies.into_iter().map(study_item).collect()
}
