//! Images that cannot be classified: each is named as what it is, through the whole path.

use cloister_imaging::View;
use cloister_tests::{Front, Setup, World, image, run};
use image::{DynamicImage, ImageFormat};

fn png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_unusable_image_gets_its_own_problem() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    let grey = |width, height| png(&DynamicImage::new_luma16(width, height));
    let cut = image(View::LCc, 1)[..4000].to_vec();
    for (name, body, status, problem, words) in [
        ("no PNG", b"\xff\xd8\xff\xe0 a JPEG".to_vec(), 415, "not-an-image", "PNG"),
        ("cut short", cut, 415, "not-an-image", ""),
        ("colour", png(&DynamicImage::new_rgb8(64, 64)), 415, "not-an-image", "colour"),
        ("too many pixels", grey(1, 30_000), 415, "not-an-image", "30000"),
        ("all zero", grey(640, 832), 422, "image", "every pixel"),
        ("the other side", image(View::RCc, 1), 422, "image", ""),
    ] {
        let answer = front.post_image("view=L-CC&crops=1", body).await;
        assert_eq!(answer.status, status, "{name}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.problem(), problem, "{name}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{name}: {detail}");
    }
    let empty = front.post_image("view=L-CC", Vec::new()).await;
    assert_eq!((empty.status, empty.problem().as_str()), (400, "empty"));
    let right = front.post_image("view=L-CC&crops=1", image(View::LCc, 1)).await;
    assert_eq!(right.status, 200, "the connection still serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_larger_than_an_image_is_refused_unread() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    let answer = front.post_image("view=L-CC", vec![0u8; 41 * 1024 * 1024]).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body-too-large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_names_a_bad_image_and_exits_with_65() {
    let world = World::ready(Setup::default()).await;
    let file = world.folder().join("right.png");
    std::fs::write(&file, image(View::RCc, 2)).unwrap();
    let output = run(world.cloister("classify").arg("--image").arg(&file).args(["--view", "L-CC"]));
    assert_eq!(output.code, 65, "{output:?}");
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("L-CC"), "{output:?}");
}

fn part(name: &str, image: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n");
    [head.as_bytes(), image, b"\r\n"].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_with_a_part_missing_twice_or_unknown_is_refused() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    let all: Vec<_> = View::ALL.iter().map(|view| part(view.as_str(), &image(*view, 1))).collect();
    let end = b"--b--\r\n".as_slice();
    let missing = [all[..3].concat().as_slice(), end].concat();
    let twice = [all.concat().as_slice(), all[0].as_slice(), end].concat();
    let unknown = [all[..3].concat().as_slice(), &part("PATIENT", b"x"), end].concat();
    let empty = [all[..3].concat().as_slice(), &part("R-MLO", b""), end].concat();
    let cut = all.concat();
    for (name, body, problem) in [
        ("missing", missing, "part-missing"),
        ("twice", twice, "part-twice"),
        ("unknown", unknown, "part-unknown"),
        ("empty", empty, "empty"),
        ("cut", cut, "body-broken"),
    ] {
        let answer = front.send("POST", "/v1/exams?crops=1", "multipart/form-data; boundary=b", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, problem), "{name}");
        if answer.status == 400 {
            front = Front::connect(&world.server).await;
        }
    }
    let not_multipart = front.send("POST", "/v1/exams", "image/png", "x").await;
    assert_eq!((not_multipart.status, not_multipart.problem().as_str()), (415, "not-multipart"));
    let mut front = Front::connect(&world.server).await;
    let wrong_side = [part("L-CC", &image(View::RCc, 1)), all[1..].concat(), end.to_vec()].concat();
    let answer = front.send("POST", "/v1/exams?crops=1", "multipart/form-data; boundary=b", wrong_side).await;
    assert_eq!((answer.status, answer.problem().as_str()), (422, "image"));
    assert!(answer.json()["detail"].as_str().unwrap().starts_with("L-CC"), "it names the view");
}
