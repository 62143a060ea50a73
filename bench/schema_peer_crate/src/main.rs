// The crate jsonschema on a workload: see bench/schema_peers.
use std::io::BufRead;
use std::time::Instant;

fn rate(documents: usize, mut round: impl FnMut()) -> f64 {
    round();
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed().as_secs_f64() < 0.3 {
            round();
            done += documents;
        }
        best = best.max(done as f64 / start.elapsed().as_secs_f64());
    }
    best
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let formats = args[2] == "formats";
    let file = std::io::BufReader::new(std::fs::File::open(&args[1]).unwrap());
    let mut groups = vec![];
    let mut compile = f64::MAX;
    for line in file.lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let draft = match line["draft"].as_str().unwrap() {
            "draft4" => jsonschema::Draft::Draft4,
            "draft6" => jsonschema::Draft::Draft6,
            "draft7" => jsonschema::Draft::Draft7,
            "draft2019-09" => jsonschema::Draft::Draft201909,
            _ => jsonschema::Draft::Draft202012,
        };
        let text = line["schema"].as_str().unwrap();
        let make = || {
            let schema: serde_json::Value = serde_json::from_str(text).unwrap();
            jsonschema::options().with_draft(draft).should_validate_formats(formats).build(&schema)
        };
        let start = Instant::now();
        let Ok(validator) = make() else { continue };
        compile = compile.min(start.elapsed().as_secs_f64());
        if text.len() > 100_000 {
            for _ in 0..4 {
                let start = Instant::now();
                let _ = make();
                compile = compile.min(start.elapsed().as_secs_f64());
            }
        }
        let texts: Vec<String> = line["documents"].as_array().unwrap().iter().map(|d| d.as_str().unwrap().to_string()).collect();
        let values: Vec<serde_json::Value> = texts.iter().map(|t| serde_json::from_str(t).unwrap()).collect();
        groups.push((validator, texts, values));
    }
    let documents: usize = groups.iter().map(|g| g.1.len()).sum();
    let mut sink = 0usize;
    let parsed = rate(documents, || for (v, _, values) in &groups { for d in values { sink += v.is_valid(d) as usize; } });
    let bytes = rate(documents, || {
        for (v, texts, _) in &groups { for t in texts { let d: serde_json::Value = serde_json::from_slice(t.as_bytes()).unwrap(); sink += v.is_valid(&d) as usize; } }
    });
    let invalid: Vec<_> = groups.iter().flat_map(|(v, _, values)| values.iter().map(move |d| (v, d))).filter(|(v, d)| !v.is_valid(d)).collect();
    let errors = if invalid.is_empty() { 0.0 } else { rate(invalid.len(), || for (v, d) in &invalid { for e in v.iter_errors(d) { sink += e.to_string().len(); } }) };
    println!("{{\"peer\":\"crate jsonschema\",\"documents\":{documents},\"invalid\":{},\"compile_ms\":{:.3},\"parsed\":{parsed:.0},\"bytes\":{bytes:.0},\"errors\":{errors:.0}}}", invalid.len(), compile * 1e3);
    if sink == 1 { println!(); }
}
