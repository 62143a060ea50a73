// The crate jmespath on the input that bench/jmespath.cpp writes: nanoseconds for each evaluation of each expression, and for reading a document.
use jmespath::{Rcvar, Variable};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let input: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let seconds = input["seconds"].as_f64().unwrap();
    let texts: Vec<&str> = input["documents"].as_array().unwrap().iter().map(|d| d.as_str().unwrap()).collect();
    let documents: Vec<Rcvar> = texts.iter().map(|text| Rcvar::new(Variable::from_json(text).unwrap())).collect();
    let time = |work: &mut dyn FnMut()| {
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            let mut rounds = 0;
            while rounds == 0 || start.elapsed().as_secs_f64() < seconds {
                work();
                rounds += 1;
            }
            best = best.min(start.elapsed().as_secs_f64() / (rounds * documents.len()) as f64);
        }
        best * 1e9
    };
    for expression in input["expressions"].as_array().unwrap() {
        let compiled = jmespath::compile(expression.as_str().unwrap()).unwrap();
        println!("{:.2}", time(&mut || documents.iter().for_each(|one| drop(black_box(compiled.search(one))))));
    }
    println!("{:.2}", time(&mut || texts.iter().for_each(|text| drop(black_box(Variable::from_json(text))))));
}
