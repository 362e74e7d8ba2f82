// Uploads 3 MiB with tus-js-client: pauses after the first chunk, goes on, and prints what the last
// answer said. Arguments: endpoint. NODE_PATH must have tus-js-client.
const tus = require('tus-js-client')
const data = Buffer.alloc(3 << 20, 'hello ')
let paused = false
const upload = new tus.Upload(data, {
  endpoint: process.argv[2],
  chunkSize: 1 << 20,
  retryDelays: [0, 10, 10],
  metadata: { filename: '张三.dcm' },
  onChunkComplete() {
    if (paused) return
    paused = true
    upload.abort().then(() => setTimeout(() => upload.start(), 10))
  },
  onAfterResponse(req, res) {
    const status = res.getHeader('Tributary-Status')
    if (status) console.log(req.getMethod(), res.getStatus(), status)
  },
  onSuccess() { console.log('success') },
  onError(e) { console.log('error', e.message); process.exit(1) },
})
upload.start()
