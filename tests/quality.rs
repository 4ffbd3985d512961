//! Pictures with a flaw, through the attested channel: each finding stands beside the score and in the receipt, each abstention is a refusal
//! of its own type, and an exam's gaps and doubles are said.

use std::process::Command;

use cloister_client::{Allowed, Classification, Error, Exam, Session, receipt};
use cloister_imaging::View;
use cloister_tests::{Dicom, Front, Setup, World, binary, image, run};
use image::imageops::{crop_imm, flip_horizontal, replace};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma};
use serde_json::Value;

type Picture = ImageBuffer<Luma<u16>, Vec<u16>>;

const SEED: u64 = 1;
const MISSING: Allowed = Allowed { mixed: false, missing: true };

fn picture(view: View) -> Picture {
    image::load_from_memory(&image(view, SEED)).unwrap().into_luma16()
}

fn png(picture: &Picture) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageLuma16(picture.clone()).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Top, bottom and right of what is lit, ends excluded.
fn lit(picture: &Picture) -> (u32, u32, u32) {
    let lit = || picture.enumerate_pixels().filter(|(_, _, grey)| grey.0[0] != 0);
    let rows = || lit().map(|(_, y, _)| y);
    (rows().min().unwrap(), rows().max().unwrap() + 1, lit().map(|(x, _, _)| x).max().unwrap() + 1)
}

fn cropped(picture: &Picture, top: u32, bottom: u32, right: u32) -> Picture {
    crop_imm(picture, 0, top, right, bottom - top).to_image()
}

fn with_greys(picture: &Picture, change: impl Fn(u16) -> u16) -> Picture {
    let mut changed = picture.clone();
    changed.pixels_mut().filter(|grey| grey.0[0] != 0).for_each(|grey| grey.0[0] = change(grey.0[0]));
    changed
}

fn with_pixels(picture: &Picture, grey: u16, is_there: impl Fn(u32, u32) -> bool) -> Picture {
    let mut changed = picture.clone();
    changed.enumerate_pixels_mut().filter(|(x, y, _)| is_there(*x, *y)).for_each(|(_, _, pixel)| pixel.0[0] = grey);
    changed
}

/// The grey that this part of what is lit does not pass.
fn quantile(picture: &Picture, percent: usize) -> u16 {
    let mut greys: Vec<u16> = picture.pixels().map(|grey| grey.0[0]).filter(|grey| *grey != 0).collect();
    greys.sort_unstable();
    greys[greys.len() * percent / 100]
}

/// Greys above those of this part of the breast become one.
fn clipped(picture: &Picture, percent: usize) -> Picture {
    let limit = quantile(picture, percent);
    with_greys(picture, |grey| grey.min(limit))
}

/// So bright that the darkest and the brightest twentieth are an eighth apart.
fn faint(picture: &Picture) -> Picture {
    let (dark, bright) = (quantile(picture, 5) / 8, quantile(picture, 95) / 8);
    with_greys(picture, |grey| 8 * (bright - dark) - bright + grey / 8)
}

fn on_canvas(picture: &Picture, side: u32) -> Picture {
    let mut canvas = Picture::new(side, side);
    replace(&mut canvas, picture, 0, i64::from(side / 2));
    canvas
}

/// Pictures that are scored, the view that they are sent as, and what is found.
fn doubtful() -> Vec<(Picture, View, Vec<&'static str>)> {
    let good = picture(View::LCc);
    let (top, bottom, right) = lit(&good);
    let (width, height) = good.dimensions();
    let cc = |picture, found: &[&'static str]| (picture, View::LCc, found.to_vec());
    vec![
        cc(good.clone(), &[]),
        (good.clone(), View::LMlo, vec!["view-doubtful"]),
        cc(cropped(&good, 0, bottom - 40, width), &["cut-off-bottom"]),
        cc(cropped(&good, 0, height, right * 93 / 100), &["cut-off-far"]),
        cc(cropped(&good, top + 60, height, width), &["cut-off-top", "view-doubtful"]),
        cc(with_pixels(&good, 30_000, |x, y| x == 80 && (top + 50..bottom - 50).contains(&y)), &["drawn-line"]),
        cc(with_pixels(&good, 50_000, |_, y| y == 3), &["edge-line"]),
        cc(with_pixels(&good, 900, |x, y| x > width - 40 && (x + y) % 5 == 0), &["lit-background"]),
        cc(faint(&good), &["low-contrast"]),
        cc(clipped(&good, 96), &["saturated"]),
        cc(on_canvas(&good, 2000), &["small-breast"]),
    ]
}

/// Pictures of a left breast from above that get no score, and for what.
fn unfit() -> Vec<(Picture, &'static str)> {
    let good = picture(View::LCc);
    let (top, bottom, right) = lit(&good);
    let (width, height) = good.dimensions();
    let middle = top.midpoint(bottom);
    vec![
        (Picture::new(width, height), "image-all-zero"),
        (with_greys(&good, |_| 30_000), "image-uniform"),
        (with_greys(&good, |grey| 60_000 + grey / 100), "image-uniform"),
        (clipped(&good, 50), "image-saturated"),
        (cropped(&good, 0, height, (right * 60 / 100).max(210)), "image-cut-off"),
        (cropped(&good, 0, middle, width), "image-cut-off"),
        (cropped(&good, middle, height, width), "image-cut-off"),
        (with_pixels(&good, 50_000, |x, y| x == right / 3 || y == middle), "image-drawn-over"),
        (with_pixels(&good, 900, |x, y| x > right + 60 && (x * 17 + y * 31) % 100 < 85), "image-background"),
        (with_pixels(&good, 50_000, |x, y| x == width - 3 || y == 2 || y == height - 3), "image-background"),
        (on_canvas(&good, 4400), "image-no-breast"),
        (flip_horizontal(&good), "image-wrong-side"),
    ]
}

/// As PNG and as DICOM.
fn both(picture: &Picture, view: View) -> [Vec<u8>; 2] {
    let png = png(picture);
    let dicom = Dicom::of(view, &png, view as u32 + 1).bytes();
    [png, dicom]
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> (u16, String, String) {
    match answer {
        Err(Error::Refused { status, kind, detail, .. }) => {
            (status, kind.trim_start_matches("urn:cloister:problem:").to_owned(), detail.unwrap_or_default())
        }
        other => panic!("{other:?}"),
    }
}

async fn classify(session: &mut Session, file: Vec<u8>, view: View) -> Result<Classification, Error> {
    session.classify(file, view, Some(1), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_finding_stands_beside_the_score_and_in_the_receipt() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    for (picture, view, found) in doubtful() {
        for file in both(&picture, view) {
            let answer = classify(&mut session, file, view).await.unwrap();
            assert_eq!(answer.findings, found);
            let claims = receipt::verify(&answer.receipt.unwrap().0, &world.policy).unwrap().claims;
            assert_eq!(claims.views[0].findings, found);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_abstention_is_a_refusal_of_its_own_type() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    for (picture, problem) in unfit() {
        for file in both(&picture, View::LCc) {
            let (status, kind, detail) = refused(classify(&mut session, file, View::LCc).await);
            assert_eq!((status, kind.as_str()), (422, problem));
            assert!(!detail.is_empty(), "{problem}");
        }
    }
    assert!(classify(&mut session, image(View::LCc, SEED), View::LCc).await.is_ok(), "the connection still serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaw_in_one_view_of_an_exam_names_the_view() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    let exam = |first: &Picture| {
        let rest = [View::RCc, View::LMlo, View::RMlo].map(|view| (view, image(view, SEED)));
        [vec![(View::LCc, png(first))], rest.to_vec()].concat()
    };
    let (cut, problem) = unfit().swap_remove(4);
    let (_, kind, detail) = refused(session.exam(exam(&cut), Some(1), None).await);
    assert_eq!(kind, problem);
    assert!(detail.starts_with("L-CC: "), "{detail}");
    let (line, _, found) = doubtful().swap_remove(6);
    let answer = session.exam(exam(&line), Some(1), None).await.unwrap();
    let of_views: Vec<_> = answer.views.iter().map(|view| view.findings.clone()).collect();
    assert_eq!(of_views, [vec![found[0].to_owned()], vec![], vec![], vec![]]);
    assert!(answer.findings.is_empty() && answer.breasts.len() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_picture_in_two_views_of_an_exam_is_refused_however_it_is_sent() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    let left = picture(View::LCc);
    let mirrored = flip_horizontal(&left);
    for (view, file, pair) in [
        (View::RCc, png(&mirrored), "L-CC and R-CC"),
        (View::RCc, Dicom::of(View::RCc, &png(&mirrored), 9).bytes(), "L-CC and R-CC"),
        (View::LMlo, image(View::LCc, SEED), "L-CC and L-MLO"),
        (View::RMlo, png(&mirrored), "L-CC and R-MLO"),
    ] {
        let own = |other: View| if other == view { file.clone() } else { image(other, SEED) };
        let images = View::ALL.map(|other| (other, own(other))).to_vec();
        let (status, kind, detail) = refused(session.exam(images, Some(1), None).await);
        assert_eq!((status, kind.as_str()), (422, "exam-same-image"));
        assert!(detail.starts_with(pair), "{detail}");
    }
    let twice = [View::RCc, View::RMlo].map(|view| (view, image(View::RCc, SEED))).to_vec();
    let (_, kind, detail) = refused(session.exam_allowing(MISSING, twice, Some(1), None).await);
    assert_eq!(kind, "exam-same-image");
    assert!(detail.starts_with("R-CC and R-MLO"), "{detail}");
}

fn views(exam: &Exam) -> Vec<View> {
    exam.views.iter().map(|view| view.view).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_view_is_said_and_its_breast_gets_no_score() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    let whole = session.exam(View::ALL.map(|view| (view, image(view, SEED))).to_vec(), Some(1), None).await.unwrap();
    for (sent, breasts, findings) in [
        (vec![View::LCc, View::RCc, View::RMlo], vec!["right"], vec!["missing-L-MLO"]),
        (vec![View::LMlo, View::LCc], vec!["left"], vec!["missing-R-CC", "missing-R-MLO"]),
        (vec![View::RMlo], vec![], vec!["missing-L-CC", "missing-L-MLO", "missing-R-CC"]),
        (vec![View::LCc, View::RMlo], vec![], vec!["missing-L-MLO", "missing-R-CC"]),
    ] {
        let images: Vec<_> = sent.iter().map(|view| (*view, image(*view, SEED))).collect();
        let answer = session.exam_allowing(MISSING, images, Some(1), None).await.unwrap();
        assert_eq!(answer.findings, findings);
        assert_eq!(answer.breasts.keys().collect::<Vec<_>>(), breasts);
        for breast in breasts {
            assert_eq!(answer.breasts[breast], whole.breasts[breast], "no other number than of the whole exam");
        }
        for view in &answer.views {
            let of_whole = whole.views.iter().find(|other| other.view == view.view).unwrap();
            assert_eq!(view.scores, of_whole.scores);
        }
        let mut sorted = sent.clone();
        sorted.sort();
        assert_eq!(views(&answer), sorted);
        let claims = receipt::verify(&answer.receipt.0, &world.policy).unwrap().claims;
        assert_eq!((claims.findings, claims.breasts.len()), (answer.findings, answer.breasts.len()));
    }
}

fn multipart(parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file) in parts {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), file, b"\r\n"].concat());
    }
    body.extend(b"--b--\r\n");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_is_refused_without_a_view_unless_it_was_asked_for_and_without_any_always() {
    let world = World::ready(Setup::default()).await;
    let named = vec![("L-CC", image(View::LCc, SEED))];
    let dicom = Dicom::of(View::LCc, &image(View::LCc, SEED), 1).bytes();
    let unnamed = vec![("image", dicom)];
    for (query, parts, status, problem) in [
        ("", &named, 400, "part-missing"),
        ("", &unnamed, 400, "part-missing"),
        ("&mixed=allow", &named, 400, "part-missing"),
        ("&missing=allow", &vec![], 400, "part-missing"),
        ("&missing=yes", &named, 400, "query"),
        ("&missing=", &named, 400, "query"),
        ("&missing=allow&missing=allow", &named, 400, "query"),
    ] {
        // A refusal in the middle of a body ends its connection.
        let mut front = Front::connect(&world.server).await;
        let path = format!("/v1/exams?crops=1{query}");
        let answer = front.send("POST", &path, "multipart/form-data; boundary=b", multipart(parts)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{query}");
    }
    let attributes = ("X-Amzn-SageMaker-Custom-Attributes", "crops=1,missing=allow");
    for parts in [&named, &unnamed] {
        let mut front = Front::connect(&world.server).await;
        let kind = ("content-type", "multipart/form-data; boundary=b");
        let answer = front.send_with("POST", "/invocations", &[kind, attributes], multipart(parts)).await;
        assert_eq!(answer.status, 200);
        let answer = answer.json();
        assert_eq!(answer["findings"], serde_json::json!(["missing-L-MLO", "missing-R-CC", "missing-R-MLO"]));
        assert_eq!(answer["breasts"], serde_json::json!({}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_findings_in_words_before_sending_and_after() {
    let world = World::ready(Setup::default()).await;
    let write = |name: &str, bytes: Vec<u8>| {
        let path = world.folder().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (line, _, _) = doubtful().swap_remove(6);
    let (doubtful, unfit) = (write("line.png", png(&line)), write("unfit.png", png(&unfit().swap_remove(4).0)));
    let words = "edge-line: a line or strip runs along an edge of the picture";
    let quality = |more: &[&str]| {
        let mut command = Command::new(binary("cloister"));
        run(command.args(["image", "quality", "--view", "L-CC"]).args(more))
    };
    assert!(quality(&[doubtful.to_str().unwrap()]).success().contains(words));
    let json: Value = serde_json::from_str(&quality(&["--json", doubtful.to_str().unwrap()]).success()).unwrap();
    assert_eq!((&json["findings"][0], &json["measures"]["far_edge"]), (&"edge-line".into(), &0.0.into()));
    let refused = quality(&[unfit.to_str().unwrap()]);
    assert!(refused.code == 65 && refused.stderr.contains("no score would be given"), "{refused:?}");

    let mut local = Command::new(binary("cloister"));
    local.args(["model", "run", "--view", "L-CC", "--crops", "1", "--package"]).arg(&world.package);
    let said = run(local.arg("--image").arg(&doubtful)).success();
    assert!(said.contains(words), "{said}");
    let json: Value = serde_json::from_str(&run(local.arg("--json")).success()).unwrap();
    assert_eq!(json["findings"], serde_json::json!(["edge-line"]));
    assert!(json["finding_words"]["edge-line"].as_str().unwrap().contains("strip"), "{json}");

    let mut local = Command::new(binary("cloister"));
    local
        .args(["model", "exam", "--json", "--crops", "1", "--package"])
        .arg(&world.package)
        .arg("--l-cc")
        .arg(&doubtful);
    for view in [View::RCc, View::LMlo, View::RMlo] {
        let name = view.as_str().to_ascii_lowercase();
        local.arg(format!("--{name}")).arg(write(&name, image(view, 5)));
    }
    let json: Value = serde_json::from_str(&run(&mut local).success()).unwrap();
    let found: Vec<_> = json["views"].as_array().unwrap().iter().map(|view| &view["findings"]).collect();
    assert_eq!(found, [&serde_json::json!(["edge-line"]), &Value::Null, &Value::Null, &Value::Null]);
    let mut local = Command::new(binary("cloister"));
    local.args(["model", "exam", "--crops", "1", "--package"]).arg(&world.package).arg("--l-cc").arg(&unfit);
    for view in ["r-cc", "l-mlo", "r-mlo"] {
        local.arg(format!("--{view}")).arg(world.folder().join(view));
    }
    let refused = run(&mut local);
    assert!(refused.code == 65 && refused.stderr.contains("L-CC: "), "{refused:?}");

    let kept = world.folder().join("receipt.cbor");
    let mut classify = world.cloister("classify");
    classify.args(["--view", "L-CC", "--crops", "1", "--receipt"]).arg(&kept).arg("--image").arg(&doubtful);
    assert!(run(&mut classify).success().contains(words));
    let json: Value = serde_json::from_str(&run(classify.arg("--json")).success()).unwrap();
    assert!(json["finding_words"]["edge-line"].as_str().unwrap().contains("strip"), "{json}");
    let show = |verb: &[&str]| run(Command::new(binary("cloister")).arg("receipt").args(verb).arg(&kept)).success();
    let policy = world.policy_file();
    assert!(show(&["show"]).contains(words));
    assert!(show(&["verify", "--policy", policy.to_str().unwrap()]).contains(words));
    let json: Value = serde_json::from_str(&show(&["show", "--json"])).unwrap();
    assert_eq!(json["views"][0]["findings"], serde_json::json!(["edge-line"]));

    let mut exam = world.cloister("exam");
    exam.args(["--crops", "1", "--l-cc"]).arg(&doubtful);
    let usage = run(&mut exam);
    assert!(usage.code == 64 && usage.stderr.contains("--allow-missing"), "{usage:?}");
    let text = run(exam.arg("--allow-missing")).success();
    assert!(text.contains(words) && text.contains("missing-R-CC: the exam came without R-CC"), "{text}");
    assert!(!text.contains("breast  benign"), "{text}");
}
