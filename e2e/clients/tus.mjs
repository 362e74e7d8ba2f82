// Plays an uploader with tus-js-client: node tus.mjs ENDPOINT FILE STATE [STOP] uploads the file, going on
// where an earlier run with the same STATE file ended. With STOP it ends, without a word to the node, once
// that share of the file is acknowledged. On the way it pauses and resumes once. It prints a line for each
// acknowledged chunk, and in the end the receipt.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import * as tus from 'tus-js-client';

const [endpoint, path, state, stop] = process.argv.slice(2);
const file = await readFile(path);
let receipt, paused = false;

const finished = Promise.withResolvers?.() ?? (() => {
  const d = {};
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }));
  return d;
})();

const upload = new tus.Upload(file, {
  endpoint,
  chunkSize: 128 << 10,
  metadata: { filename: 'study.dcm', filetype: 'application/dicom' },
  urlStorage: new tus.FileUrlStorage(state),
  storeFingerprintForResuming: true,
  removeFingerprintOnSuccess: true,
  retryDelays: Array(300).fill(100),
  onShouldRetry: () => true,
  onAfterResponse: (_, res) => { receipt = res.getHeader('Tributary-Receipt-Id') ?? receipt; },
  onChunkComplete: async (_, accepted, total) => {
    console.log(`chunk ${accepted} ${total}`);
    if (stop && accepted >= total * Number(stop)) process.exit(0);
    if (!paused && accepted >= total / 8) {
      paused = true;
      await upload.abort();
      await sleep(50);
      upload.start();
    }
  },
  onError: finished.reject,
  onSuccess: finished.resolve,
});
const earlier = await upload.findPreviousUploads();
if (earlier.length > 0) {
  upload.resumeFromPreviousUpload(earlier[0]);
  console.log('resumed');
}
upload.start();
await finished.promise;
console.log(`receipt ${receipt} ${upload.url}`);
