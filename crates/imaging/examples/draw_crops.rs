//! Draws synthetic mammograms and writes what a network would be given of them: `draw_crops --out DIR --first SEED --count N
//! [--most M] [--noisy] [--cc-window HxW] [--mlo-window HxW]`.
//!
//! One image a seed. The seed's lowest bits say what is drawn, so that every combination comes equally often: two for the view,
//! one for whether there are masses, one for whether there are clusters of calcifications. Of each angle, `DIR/{cc,mlo}.npy` has
//! the normalised crops (`n x h x w` f32), and `DIR/{cc,mlo}.csv` what each one shows. With `--noisy`, the noiseless crop is
//! followed by one of the ten that an image's scores are averaged over.

use std::{
    error::Error,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    thread,
};

use cloister_imaging::{
    Angle, Noise, View, prepare,
    synthetic::{Options, generate},
};

const WIDTH: usize = 640;
const HEIGHT: usize = 832;

/// How many seeds' crops are in memory at a time.
const BATCH: u64 = 64;

/// How many crops an image's scores are averaged over.
const CROPS: u32 = 10;

type Failure = Box<dyn Error + Send + Sync>;

struct Plan {
    most: u32,
    noisy: bool,
    cc: (usize, usize),
    mlo: (usize, usize),
}

struct Drawn {
    view: View,
    row: String,
    crops: Vec<f32>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1));
    let number = |flag: &str| value(flag).map(|text| text.parse::<u64>()).transpose();
    let out = Path::new(value("--out").ok_or("usage: draw_crops --out DIR --first SEED --count N")?);
    let (first, count) = (number("--first")?.unwrap_or(0), number("--count")?.unwrap_or(64));
    let plan = Plan {
        most: number("--most")?.unwrap_or(1).max(1) as u32,
        noisy: arguments.iter().any(|argument| argument == "--noisy"),
        cc: window(value("--cc-window"), (459, 395))?,
        mlo: window(value("--mlo-window"), (523, 395))?,
    };
    fs::create_dir_all(out)?;
    let mut cc = Angled::create(out, "cc", plan.cc)?;
    let mut mlo = Angled::create(out, "mlo", plan.mlo)?;
    let seeds: Vec<u64> = (first..first + count).collect();
    for batch in seeds.chunks(BATCH as usize) {
        for drawn in draw_all(batch, &plan)? {
            match drawn.view.angle() {
                Angle::Cc => cc.write(&drawn)?,
                Angle::Mlo => mlo.write(&drawn)?,
            }
        }
    }
    cc.finish()?;
    mlo.finish()
}

fn window(text: Option<&String>, otherwise: (usize, usize)) -> Result<(usize, usize), Failure> {
    let Some(text) = text else { return Ok(otherwise) };
    let (height, width) = text.split_once('x').ok_or("a window is HEIGHTxWIDTH")?;
    Ok((height.parse()?, width.parse()?))
}

/// The seeds' images in their order, drawn on all cores.
fn draw_all(seeds: &[u64], plan: &Plan) -> Result<Vec<Drawn>, Failure> {
    let threads = thread::available_parallelism()?.get();
    let parts: Vec<Result<Vec<Drawn>, Failure>> = thread::scope(|scope| {
        let part = |seeds: &[u64]| seeds.iter().map(|&seed| draw(seed, plan)).collect();
        let running: Vec<_> =
            seeds.chunks(seeds.len().div_ceil(threads)).map(|seeds| scope.spawn(move || part(seeds))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread has panicked".into())))
            .collect()
    });
    Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn draw(seed: u64, plan: &Plan) -> Result<Drawn, Failure> {
    let view = View::ALL[(seed & 3) as usize];
    let number = |bit: u64| if seed >> bit & 1 == 1 { 1 + (seed >> (bit + 2)) as u32 % plan.most } else { 0 };
    let (masses, calcifications) = (number(2), number(3));
    let image = generate(seed, view, Options { width: WIDTH, height: HEIGHT, masses, calcifications });
    let network = match view.angle() {
        Angle::Cc => plan.cc,
        Angle::Mlo => plan.mlo,
    };
    let prepared = prepare(&image, view, network)?;
    let mut plans = prepared.crops(1, Noise::None);
    if plan.noisy {
        plans.push(prepared.crops(CROPS, Noise::Default)[((seed >> 6) % u64::from(CROPS)) as usize]);
    }
    let crops = plans.iter().flat_map(|plan| prepared.render(plan)).collect();
    let row = format!("{seed},{view},{masses},{calcifications}\n").repeat(plans.len());
    Ok(Drawn { view, row, crops })
}

/// The files of one angle.
struct Angled {
    crops: BufWriter<File>,
    table: BufWriter<File>,
    window: (usize, usize),
    values: usize,
}

/// NumPy's format, version 1.0: a header of this length, whose text says type and shape.
const NPY_HEADER: usize = 128;

impl Angled {
    fn create(out: &Path, angle: &str, window: (usize, usize)) -> Result<Self, Failure> {
        let mut crops = BufWriter::new(File::create(out.join(format!("{angle}.npy")))?);
        crops.write_all(&[0; NPY_HEADER])?;
        let mut table = BufWriter::new(File::create(out.join(format!("{angle}.csv")))?);
        table.write_all(b"seed,view,masses,calcifications\n")?;
        Ok(Self { crops, table, window, values: 0 })
    }

    fn write(&mut self, drawn: &Drawn) -> Result<(), Failure> {
        self.values += drawn.crops.len();
        drawn.crops.iter().try_for_each(|value| self.crops.write_all(&value.to_le_bytes()))?;
        Ok(self.table.write_all(drawn.row.as_bytes())?)
    }

    /// Writes the header, now that the number of crops is known.
    fn finish(mut self) -> Result<(), Failure> {
        use std::io::Seek;
        let (height, width) = self.window;
        let count = self.values / (height * width);
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {height}, {width}), }}");
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend(((NPY_HEADER - 10) as u16).to_le_bytes());
        header.extend(format!("{text:<width$}\n", width = NPY_HEADER - 11).into_bytes());
        self.crops.rewind()?;
        self.crops.write_all(&header)?;
        self.crops.flush()?;
        Ok(self.table.flush()?)
    }
}
