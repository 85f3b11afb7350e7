//! Which models come with the program, files and all? Small ones that `models/small/distill.py` and
//! `models/train_images.py` trained, for machines that obtain nothing.

/// A file that the program carries.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) bytes: &'static [u8],
}

const TOKENIZER: File =
    File { name: "tokenizer.json", bytes: include_bytes!("models/small/tokenizer.json") };

/// Returns the files that the program carries of a model that comes with it; none if it carries none.
pub(super) fn files(model: &str) -> &'static [File] {
    match model {
        "small-static" => {
            const FILES: [File; 2] = [
                TOKENIZER,
                File {
                    name: "model.safetensors",
                    bytes: include_bytes!("models/small/static.safetensors"),
                },
            ];
            &FILES
        }
        "small-lstm" => {
            const FILES: [File; 2] = [TOKENIZER, graph(include_bytes!("models/small/lstm.onnx"))];
            &FILES
        }
        "small-gru" => {
            const FILES: [File; 2] = [TOKENIZER, graph(include_bytes!("models/small/gru.onnx"))];
            &FILES
        }
        "small-cnn" => {
            const FILES: [File; 2] = [TOKENIZER, graph(include_bytes!("models/small/cnn.onnx"))];
            &FILES
        }
        "simile-autoencoder-64" => {
            const FILES: [File; 1] = [File {
                name: "simile-autoencoder-64.onnx",
                bytes: include_bytes!("models/simile-autoencoder-64.onnx"),
            }];
            &FILES
        }
        "simile-residual-64" => {
            const FILES: [File; 1] = [File {
                name: "simile-residual-64.onnx",
                bytes: include_bytes!("models/simile-residual-64.onnx"),
            }];
            &FILES
        }
        _ => &[],
    }
}

const fn graph(bytes: &'static [u8]) -> File {
    File { name: "model.onnx", bytes }
}
