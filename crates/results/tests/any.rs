//! Whatever an exam says, there is a typed error that repeats nothing of it, or a file that holds to the encoding's rules.

mod support;

use cloister_results::{
    Error, Exam, Overlay, Rule, Source, Spacing, Uid, View, basic_text_sr, mammography_cad_sr, secondary_capture,
};
use proptest::prelude::*;
use support::{exam, identity, with};

const LONG: [&[u8]; 3] = [b"OB", b"SQ", b"UT"];

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// Walks a data set of explicit VR little endian and gives how many elements it has: even lengths, tags that ascend, lengths that
/// fill what they stand in, known representations.
fn walk(mut bytes: &[u8]) -> usize {
    let (mut count, mut last) = (0, 0);
    while !bytes.is_empty() {
        let tag = number(&bytes[..2]) << 16 | number(&bytes[2..4]);
        assert!(tag > last, "{tag:08X} behind {last:08X}");
        last = tag;
        let vr = &bytes[4..6];
        assert!(vr.iter().all(u8::is_ascii_uppercase));
        let (length, head) = if LONG.contains(&vr) { (number(&bytes[8..12]), 12) } else { (number(&bytes[6..8]), 8) };
        assert_eq!(length % 2, 0, "{tag:08X}");
        let value = &bytes[head..head + length];
        count += 1;
        match vr {
            b"SQ" => count += walk_items(value),
            b"UI" => assert!(value.iter().all(|byte| matches!(byte, 0 | b'.' | b'0'..=b'9'))),
            b"OB" | b"US" | b"UL" => (),
            _ => assert!(std::str::from_utf8(value).is_ok_and(|text| !text.contains('\0'))),
        }
        bytes = &bytes[head + length..];
    }
    count
}

fn walk_items(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        assert_eq!(bytes[..4], [0xFE, 0xFF, 0x00, 0xE0]);
        let length = number(&bytes[4..8]);
        count += walk(&bytes[8..8 + length]);
        bytes = &bytes[8 + length..];
    }
    count
}

fn check_file(file: &[u8]) {
    assert_eq!(file[..128], [0; 128]);
    assert_eq!(&file[128..132], b"DICM");
    let length = number(&file[140..144]);
    assert_eq!(walk(&file[132..144 + length]), 7);
    assert!(walk(&file[144 + length..]) > 30);
}

/// Every object of the exam, or why there is none. Both documents and the image agree on that.
fn check(exam: &Exam) -> Result<(), Error> {
    let overlay =
        Overlay { view: View::LCc, label: "malignant", rows: 1, columns: 3, grey: &[1, 2, 3], map: &[0, 9, 255] };
    let files = [
        mammography_cad_sr(exam, &identity(1)),
        basic_text_sr(exam, &identity(2)),
        secondary_capture(exam, &overlay, &identity(3)),
    ];
    for file in files {
        check_file(&file?);
    }
    Ok(())
}

type Change = fn(&mut Exam, &str);

/// What puts a string into each place that takes one.
const PLACES: [Change; 14] = [
    |exam, text| in_all(exam, |source| source.patient.name = text.into()),
    |exam, text| in_all(exam, |source| source.patient.id = text.into()),
    |exam, text| in_all(exam, |source| source.patient.birth_date = text.into()),
    |exam, text| in_all(exam, |source| source.patient.sex = text.into()),
    |exam, text| in_all(exam, |source| source.study.date = text.into()),
    |exam, text| in_all(exam, |source| source.study.time = text.into()),
    |exam, text| in_all(exam, |source| source.study.id = text.into()),
    |exam, text| in_all(exam, |source| source.study.accession_number = text.into()),
    |exam, text| in_all(exam, |source| source.study.referring_physician = text.into()),
    |exam, text| in_all(exam, |source| source.orientation = Some([text.into(), "F".into()])),
    |exam, text| in_all(exam, |source| source.orientation = Some(["F".into(), text.into()])),
    |exam, text| exam.model.name = text.into(),
    |exam, text| exam.software = text.into(),
    |exam, text| exam.operating_point.label = text.into(),
];

fn in_all(exam: &mut Exam, change: impl Fn(&mut Source)) {
    *exam = with(exam.clone(), change);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_string_anywhere_is_written_or_refused(place in 0..PLACES.len(), text in "\\PC{0,70}|[ -~]{0,20}|(?s:.{0,40})|[0-9.]{6,14}|[A-Z^=_ ]{0,20}") {
        let mut exam = exam(&[View::LCc, View::RMlo]);
        PLACES[place](&mut exam, &text);
        if let Err(error) = check(&exam) {
            let said = format!("{error} {error:?}");
            prop_assert!(text.chars().count() < 8 || !said.contains(&text), "{said}");
        }
    }

    #[test]
    fn any_numbers_are_written_or_refused(benign in any::<f64>(), malignant in 0.0..=1.0, threshold in 0.0..=1.0, rows in any::<f64>(), columns in 0.001..10.0) {
        let mut exam = exam(&[View::LCc]);
        exam.views[0].scores.insert("malignant".into(), malignant);
        exam.operating_point.least = threshold;
        exam.views[0].source.spacing = Some(Spacing { between_rows: columns, between_columns: columns });
        prop_assert_eq!(check(&exam), Ok(()));
        exam.views[0].scores.insert("benign".into(), benign);
        prop_assert_eq!(check(&exam).is_ok(), (0.0..=1.0).contains(&benign) && benign.is_sign_positive());
        exam.views[0].scores.insert("benign".into(), 0.5);
        exam.views[0].source.spacing = Some(Spacing { between_rows: rows, between_columns: columns });
        prop_assert_eq!(mammography_cad_sr(&exam, &identity(1)).is_ok(), (0.001..=10.0).contains(&rows));
    }

    #[test]
    fn any_identifier_is_written_or_refused(text in "[0-9.]{0,70}|\\PC{0,10}") {
        if let Ok(uid) = Uid::new(&text) {
            let mut exam = exam(&[View::LCc]);
            exam.views[0].source.sop_instance_uid = uid.clone();
            exam.views[0].source.sop_class_uid = uid;
            prop_assert_eq!(check(&exam), Ok(()));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_its_name_and_not_repeated() {
    let cases: [(Exam, Error); 12] = [
        (exam(&[]), Error::NoViews),
        (exam(&[View::LCc, View::LCc]), Error::Repeated(View::LCc)),
        (changed(|exam| exam.views[1].source.patient.id.push('x')), Error::Patients),
        (changed(|exam| exam.views[1].source.study.accession_number.push('x')), Error::Studies),
        (
            changed(|exam| exam.views[1].source.sop_instance_uid = exam.views[0].source.sop_instance_uid.clone()),
            Error::SameUid,
        ),
        (
            changed(|exam| {
                exam.views[1].scores.insert("malignant".into(), f64::NAN);
            }),
            Error::Scores(View::RCc),
        ),
        (
            changed(|exam| {
                exam.views[0].scores.insert("benign".into(), -0.0);
            }),
            Error::Scores(View::LCc),
        ),
        (
            changed(|exam| {
                exam.views[1].scores.remove("benign");
            }),
            Error::Scores(View::RCc),
        ),
        (changed(|exam| exam.operating_point.score = "mass".into()), Error::Threshold),
        (changed(|exam| exam.operating_point.least = -0.5), Error::Threshold),
        (
            changed(|exam| in_all(exam, |source| source.patient.name = "SEKRET\\NAME".into())),
            Error::Value { attribute: "PatientName", rule: Rule::Character },
        ),
        (
            changed(|exam| in_all(exam, |source| source.patient.sex = "SEKRET".into())),
            Error::Value { attribute: "PatientSex", rule: Rule::Term },
        ),
    ];
    let mut taken = identity(1);
    taken.series = exam(&[View::LCc]).views[0].source.series_instance_uid.clone();
    assert_eq!(basic_text_sr(&exam(&View::ALL), &taken), Err(Error::SameUid));
    for (exam, wanted) in cases {
        assert_eq!(check(&exam), Err(wanted));
        assert!(!format!("{wanted} {wanted:?}").contains("SEKRET"));
    }
}

fn changed(change: impl Fn(&mut Exam)) -> Exam {
    let mut exam = exam(&View::ALL);
    change(&mut exam);
    exam
}

#[test]
fn an_overlay_has_to_fill_its_view() {
    let exam = exam(&[View::LCc]);
    let full = Overlay { view: View::LCc, label: "malignant", rows: 2, columns: 2, grey: &[0; 4], map: &[0; 4] };
    assert!(secondary_capture(&exam, &full, &identity(1)).is_ok());
    let refused = [
        (Overlay { view: View::RCc, ..full }, Error::NoSuchView(View::RCc)),
        (Overlay { label: "other", ..full }, Error::Label(View::LCc)),
        (Overlay { map: &[0; 3], ..full }, Error::Pixels { rows: 2, columns: 2 }),
        (Overlay { grey: &[0; 5], ..full }, Error::Pixels { rows: 2, columns: 2 }),
        (Overlay { rows: 0, grey: &[], map: &[], ..full }, Error::Pixels { rows: 0, columns: 2 }),
    ];
    for (overlay, wanted) in refused {
        assert_eq!(secondary_capture(&exam, &overlay, &identity(1)), Err(wanted));
    }
}
