//! Images that cannot be classified: each is named as what it is, through the whole path.

use cloister_imaging::View;
use cloister_tests::{Front, Setup, World, image, run};
use image::{DynamicImage, ImageFormat};

fn png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Name, file, and what it is refused as: status, type, words of the detail.
fn unusable() -> Vec<(&'static str, Vec<u8>, u16, &'static str, &'static str)> {
    let grey = |width, height| png(&DynamicImage::new_luma16(width, height));
    let whole = image(View::LCc, 1);
    let mut flipped = whole.clone();
    flipped[2000] ^= 1;
    let pixels = image::load_from_memory(&whole).unwrap().into_luma16();
    let mut lit = pixels.clone();
    lit.pixels_mut().for_each(|pixel| pixel.0[0] = pixel.0[0].saturating_add(50));
    let mut specks = image::ImageBuffer::new(pixels.width(), pixels.height());
    specks.put_pixel(5, 5, image::Luma([1000u16]));
    vec![
        ("no PNG", b"\xff\xd8\xff\xe0 a JPEG".to_vec(), 415, "not-a-png", "PNG"),
        ("cut short", whole[..4000].to_vec(), 415, "image-damaged", "cut short"),
        ("a flipped bit", flipped, 415, "image-damaged", "checksums do not match"),
        ("colour", png(&DynamicImage::new_rgb8(64, 64)), 415, "image-colour", "colour"),
        ("transparent", png(&DynamicImage::new_luma_a16(64, 64)), 415, "image-colour", "alpha"),
        ("too many pixels", grey(1, 30_000), 413, "image-too-large", "30000"),
        ("all zero", grey(640, 832), 422, "image-all-zero", "every pixel"),
        ("a lit background", png(&DynamicImage::ImageLuma16(lit)), 422, "image-background", "background"),
        ("a speck", png(&DynamicImage::ImageLuma16(specks)), 422, "image-no-breast", "no breast"),
        ("the other side", image(View::RCc, 1), 422, "image-wrong-side", "right breast"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_unusable_image_gets_its_own_problem() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    for (name, body, status, problem, words) in unusable() {
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
async fn an_exam_with_a_part_missing_twice_unknown_or_unusable_is_refused() {
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
        front = Front::connect(&world.server).await;
    }
    let not_multipart = front.send("POST", "/v1/exams", "image/png", "x").await;
    assert_eq!((not_multipart.status, not_multipart.problem().as_str()), (415, "not-multipart"));
    let mut front = Front::connect(&world.server).await;
    for (name, image, status, problem, words) in unusable() {
        let body = [part("L-CC", &image), all[1..].concat(), end.to_vec()].concat();
        let answer = front.send("POST", "/v1/exams?crops=1", "multipart/form-data; boundary=b", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{name}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("L-CC: ") && detail.contains(words), "{name}: {detail}");
    }
}
