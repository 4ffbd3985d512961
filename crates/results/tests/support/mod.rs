//! What the tests share: exams.
#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

use std::fs;
use std::path::{Path, PathBuf};

use cloister_results::{
    Exam, Identity, Model, OperatingPoint, Overlay, Patient, Scored, Scores, Source, Spacing, Study, Uid, View,
    basic_text_sr, mammography_cad_sr, secondary_capture,
};
use time::{Date, Month, Time, UtcOffset};

pub const ROWS: u16 = 7;
pub const COLUMNS: u16 = 5;

pub fn uid(value: &str) -> Uid {
    Uid::new(value).unwrap()
}

/// The UID that the tests' source file of a view has.
pub fn instance(view: View) -> String {
    let at = View::ALL.iter().position(|other| *other == view).unwrap();
    format!("1.2.826.0.1.3680043.10.999.3.{}", at + 1)
}

pub fn scored(view: View, malignant: f64) -> Scored {
    let source = Source {
        patient: Patient {
            name: "Muster^Erika".into(),
            id: "SEKRET-4711".into(),
            birth_date: "19640812".into(),
            sex: "F".into(),
        },
        study: Study {
            instance_uid: uid("1.2.826.0.1.3680043.10.999.1"),
            date: "20260301".into(),
            time: "101112.5".into(),
            id: "S1".into(),
            accession_number: "A-77".into(),
            referring_physician: "Arzt^Anna^^Dr.".into(),
        },
        series_instance_uid: uid("1.2.826.0.1.3680043.10.999.2"),
        sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.1.2"),
        sop_instance_uid: uid(&instance(view)),
        view,
        rows: ROWS,
        columns: COLUMNS,
        spacing: Some(Spacing { between_rows: 0.0941, between_columns: 0.1 }),
        orientation: Some(["A".into(), "R".into()]),
        burned_in_annotation: Some(false),
        lossy: false,
    };
    Scored {
        source,
        scores: Scores::from([("benign".into(), 0.25), ("malignant".into(), malignant)]),
        findings: Vec::new(),
    }
}

/// An exam of these views, with scores that differ.
pub fn exam(views: &[View]) -> Exam {
    let scores = [0.5, 0.125, 0.75, 0.0625];
    let views = views.iter().map(|view| {
        let at = View::ALL.iter().position(|other| other == view).unwrap();
        scored(*view, scores[at])
    });
    let day = Date::from_calendar_date(2026, Month::March, 2).unwrap();
    Exam {
        views: views.collect(),
        findings: Vec::new(),
        model: Model { name: "screening-mammogram".into(), version: 3, digest: [0xAB; 48] },
        software: "cloister-enclave 0.1.0".into(),
        receipt_digest: [0xCD; 48],
        operating_point: OperatingPoint { label: "sensitive".into(), score: "malignant".into(), least: 0.5 },
        time: day.with_time(Time::from_hms(9, 8, 7).unwrap()).assume_offset(UtcOffset::from_hms(1, 0, 0).unwrap()),
    }
}

/// The same, with other attributes in every source.
pub fn with(mut exam: Exam, change: impl Fn(&mut Source)) -> Exam {
    exam.views.iter_mut().for_each(|scored| change(&mut scored.source));
    exam
}

pub fn identity(number: u8) -> Identity {
    Identity {
        series: Uid::random([number; 16]),
        series_number: 9000 + u32::from(number),
        instance: Uid::random([number.wrapping_add(100); 16]),
        instance_number: 1,
    }
}

/// All objects of an exam, by the ends of their files' names.
pub fn objects(exam: &Exam) -> Vec<(String, Vec<u8>)> {
    let mut objects = vec![
        ("cad.dcm".to_owned(), mammography_cad_sr(exam, &identity(1)).unwrap()),
        ("text.dcm".to_owned(), basic_text_sr(exam, &identity(2)).unwrap()),
    ];
    let count = ROWS * COLUMNS;
    let grey: Vec<u8> = (0..count).map(|at| at as u8 * 7).collect();
    let map: Vec<u8> = (0..count).map(|at| if at % 2 == 0 { 0 } else { 255 }).collect();
    for (number, scored) in (3..).zip(&exam.views) {
        let view = scored.source.view;
        let overlay = Overlay { view, label: "malignant", rows: ROWS, columns: COLUMNS, grey: &grey, map: &map };
        objects.push((format!("{view}.dcm"), secondary_capture(exam, &overlay, &identity(number)).unwrap()));
    }
    objects
}

/// Exams that differ in what is hard to write.
pub fn exams() -> Vec<(&'static str, Exam)> {
    let unicode = |source: &mut Source| {
        source.patient.name = "Yamada^Tarou=山田^太郎=やまだ^たろう".into();
        source.patient.id = "Ωμέγα-Ünal-מספר".into();
        source.study.referring_physician = "Łękawska^Żaneta".into();
        source.study.accession_number = "№ 5".into();
    };
    let longest = |source: &mut Source| {
        source.patient.name = "N".repeat(29) + "^" + &"n".repeat(34);
        source.patient.id = "i".repeat(64);
        source.study.id = "s".repeat(16);
        source.study.accession_number = "a".repeat(16);
        source.study.referring_physician = "R".repeat(29) + "^" + &"r".repeat(34);
        source.study.time = "235959.999999".into();
        source.series_instance_uid = uid(&format!("1.2.{}", "3".repeat(60)));
        source.spacing = Some(Spacing { between_rows: 10.0, between_columns: 0.123_456_78 });
    };
    let bare = |source: &mut Source| {
        source.patient = Patient { name: "".into(), id: "".into(), birth_date: "".into(), sex: "".into() };
        for text in [&mut source.study.date, &mut source.study.time, &mut source.study.id] {
            text.clear();
        }
        source.study.accession_number.clear();
        source.study.referring_physician.clear();
        (source.spacing, source.orientation, source.burned_in_annotation) = (None, None, None);
        source.lossy = true;
    };
    let mut wordy = with(exam(&View::ALL), longest);
    wordy.model.name = "m".repeat(64);
    wordy.software = "s".repeat(64);
    wordy.operating_point.label = "o".repeat(64);
    wordy.model.version = u32::MAX;
    vec![
        ("four", exam(&View::ALL)),
        ("missing", exam(&[View::LCc, View::RCc, View::LMlo])),
        ("one", exam(&[View::RMlo])),
        ("unicode", with(exam(&View::ALL), unicode)),
        ("longest", wordy),
        ("bare", with(exam(&View::ALL), bare)),
    ]
}

/// An exam with values as long as they may be in characters, which are several bytes each.
pub fn widest() -> Exam {
    let mut exam = with(exam(&View::ALL), |source| {
        source.patient.name = ["Ä".repeat(64), "山".repeat(64), "か".repeat(64)].join("=");
        source.patient.id = "ñ".repeat(64);
        source.study.id = "😀".repeat(16);
        source.study.accession_number = "ß".repeat(16);
        source.study.referring_physician = "Ж".repeat(64);
    });
    exam.model.name = "м".repeat(64);
    exam.software = "ö".repeat(64);
    exam.operating_point.label = "高".repeat(64);
    exam
}

/// The objects of all those exams as files: `four-cad.dcm` and so on.
pub fn write_all(folder: &Path) -> Vec<PathBuf> {
    exams().into_iter().flat_map(|(name, exam)| write(folder, name, &exam)).collect()
}

/// The objects of an exam as files.
pub fn write(folder: &Path, name: &str, exam: &Exam) -> Vec<PathBuf> {
    let written = objects(exam).into_iter().map(|(end, bytes)| {
        let path = folder.join(format!("{name}-{end}"));
        fs::write(&path, bytes).unwrap();
        path
    });
    written.collect()
}
