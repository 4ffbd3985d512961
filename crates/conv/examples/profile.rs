//! What each step of the screening network takes, with random weights, on one thread and on two.

use std::time::Instant;

use cloister_conv::{Graph, Id, KernelSet, Options, Program, Shape, Store, Windows};

struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
    fn many(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * scale).collect()
    }
}

fn conv(g: &mut Graph, r: &mut Random, from: Id, channels: usize, k: usize, s: usize, p: usize) -> Id {
    let inputs = g.shape(from).channels;
    let n = inputs * k * k;
    let w = r.many(channels * n, (3.0 / n as f32).sqrt());
    let windows = Windows { size: (k, k), stride: (s, s), rows: (p, p), columns: (p, p) };
    g.convolution(from, channels, windows, w, None).unwrap()
}

fn bn(g: &mut Graph, r: &mut Random, from: Id) -> Id {
    let c = g.shape(from).channels;
    let f = (0..c).map(|_| 1.0 + 0.3 * r.next()).collect();
    let s = r.many(c, 0.1);
    let x = g.scale(from, f, s).unwrap();
    g.relu(x).unwrap()
}

fn network(height: usize, width: usize) -> Graph {
    let mut g = Graph::default();
    let mut r = Random(1);
    let x = g.input(Shape { channels: 1, height, width }).unwrap();
    g.name("first");
    let x = conv(&mut g, &mut r, x, 16, 7, 2, 0);
    let mut x = g.max_pool(x, Windows { size: (3, 3), stride: (2, 2), rows: (0, 0), columns: (0, 0) }).unwrap();
    for (stage, s) in [1, 2, 2, 2, 2].into_iter().enumerate() {
        for block in 0..2 {
            let c = 16 << stage;
            g.name(&format!("{stage}.{block}"));
            let a = bn(&mut g, &mut r, x);
            let s = if block == 0 { s } else { 1 };
            let y = conv(&mut g, &mut r, a, c, 3, s, 1);
            let y = bn(&mut g, &mut r, y);
            let y = conv(&mut g, &mut r, y, c, 3, 1, 1);
            let res = if block == 0 { conv(&mut g, &mut r, a, c, 1, s, 0) } else { x };
            x = g.sum(y, res).unwrap();
        }
    }
    let x = bn(&mut g, &mut r, x);
    let x = g.sum_over_picture(x).unwrap();
    g.output(x);
    g
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds: usize = args.get(1).map_or(5, |a| a.parse().unwrap());
    let g = network(2677, 1942);
    let mut r = Random(5);
    let input = r.many(2677 * 1942, 1.7);
    let mut out = vec![0.0; 256];
    for set in KernelSet::available().into_iter().filter(|s| args.get(2).is_none_or(|a| a == s.name())) {
        for winograd in [true, false] {
            if args.get(3).is_some_and(|a| (a == "w") != winograd) {
                continue;
            }
            let p = Program::compile(&g, Options { kernels: set, winograd }, &mut Store::default()).unwrap();
            println!(
                "{:.1} MB, {:.1} MB for two threads",
                p.working_bytes(1) as f64 / 1e6,
                p.working_bytes(2) as f64 / 1e6
            );
            let time = |threads: usize, out: &mut Vec<f32>| {
                let mut best = vec![];
                for _ in 0..rounds {
                    let t = Instant::now();
                    p.run(&[&input], &mut [out.as_mut_slice()], threads).unwrap();
                    best.push(t.elapsed().as_secs_f64() * 1e3);
                }
                best.sort_by(f64::total_cmp);
                (best[0], best[best.len() / 2])
            };
            let one = time(1, &mut out);
            let s: f32 = out.iter().sum();
            let two = time(2, &mut out);
            let s2: f32 = out.iter().sum();
            println!("{set} winograd={winograd} one {one:.1?} two {two:.1?} sum {s} same {}", s == s2);
            if args.len() > 4 {
                let _ = p.profile(&[&input]);
                let mut total = 0.0;
                for s in p.profile(&[&input]).unwrap() {
                    let t = s.time.unwrap().as_secs_f64() * 1e3;
                    total += t;
                    println!(
                        "{:3} {:10} {:22} {:4}x{:4}x{:4} {:7.2} ms {:6.0} GF/s {} KB",
                        s.group,
                        s.name,
                        s.how,
                        s.shape.channels,
                        s.shape.height,
                        s.shape.width,
                        t,
                        s.operations as f64 / t / 1e6,
                        s.weight_bytes / 1024
                    );
                }
                println!("total {total:.1}");
            }
        }
    }
}
