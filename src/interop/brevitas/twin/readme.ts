/** The text of the twin's `README.md`. */
export const readmeText = `# The network in PyTorch

| | |
|---|---|
| network.py | the network of quantrace: the same layers of Brevitas, the same options, the same names |
| network.safetensors | its parameters and the state of its quantizers |
| state.py | loads and saves them, collections in the middle included |
| train.py | trains by one process or many; its head says how data, statistics and checkpoints are treated |

\`\`\`sh
pip install torch "brevitas==0.13.*" safetensors numpy
python train.py --help
torchrun --nproc-per-node 2 train.py --data data.npz --epochs 3   # arrays x and target
\`\`\`

\`out/trained.safetensors\` goes back: \`fromBrevitas(net, orThrow(parseSafetensors(bytes)))\` of \`quantrace/brevitas\`.
\`\`\`python
from network import Network
import state

model = Network()
state.load(model, "network.safetensors")
\`\`\`
`
