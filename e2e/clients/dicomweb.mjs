// Plays a viewer with dicomweb-client: node dicomweb.mjs URL FILE... stores the files, finds them, and
// retrieves them. It ends with 0 when all is as a viewer needs it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
globalThis.XMLHttpRequest = require('xhr2'); // the client is made for browsers
const { api } = require('dicomweb-client');

const [url, ...paths] = process.argv.slice(2);
const files = await Promise.all(paths.map(path => readFile(path)));
const client = new api.DICOMwebClient({ url, singlepart: '' });
const tag = (result, t) => result[t]?.Value?.[0];
const same = (got, want, what) => assert.ok(Buffer.from(got).equals(want), `${what} came back with other bytes`);

await client.storeInstances({ datasets: files.map(f => f.buffer.slice(f.byteOffset, f.byteOffset + f.length)) });

const studies = await client.searchForStudies({ queryParams: { PatientName: 'Zhang*', limit: 10 } });
assert.equal(studies.length, 1, 'one study');
assert.equal(studies[0]['00100010'].Value[0].Ideographic, '张^三');
assert.equal(tag(studies[0], '00201208'), files.length, 'Number of Study Related Instances');
const studyInstanceUID = tag(studies[0], '0020000D');

const series = await client.searchForSeries({ studyInstanceUID });
const instances = await client.searchForInstances({ studyInstanceUID });
assert.equal(instances.length, files.length, 'all instances');
assert.equal(new Set(instances.map(i => tag(i, '0020000E'))).size, series.length, 'all series');

for (const s of series) {
  const seriesInstanceUID = tag(s, '0020000E');
  const metadata = await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID });
  assert.equal(metadata.length, tag(s, '00201209'), 'metadata of the series');
  for (const m of metadata) {
    const sopInstanceUID = tag(m, '00080018');
    const where = { studyInstanceUID, seriesInstanceUID, sopInstanceUID };
    const want = files.find(f => f.includes(sopInstanceUID));
    assert.ok(want, 'metadata of an instance that was sent');
    same(await client.retrieveInstance(where), want, 'the instance');

    const [frame] = await client.retrieveInstanceFrames({ ...where, frameNumbers: [1] });
    const bytes = tag(m, '00280010') * tag(m, '00280011');
    same(frame, want.subarray(want.length - bytes), 'the frame');

    const { BulkDataURI } = m['7FE00010'];
    assert.ok(BulkDataURI, 'pixel data are bulk data');
    const [bulk] = await client.retrieveBulkData({ BulkDataURI: new URL(BulkDataURI, url + '/').href });
    same(bulk, want.subarray(want.length - bytes), 'the bulk data');
    const [single] = await client.retrieveInstanceMetadata(where).then(v => [v].flat());
    assert.deepEqual(single, m, 'metadata of the instance and of its series');
  }
}
const whole = await client.retrieveStudy({ studyInstanceUID });
assert.equal(whole.length, files.length, 'instances of the study');

await assert.rejects(client.retrieveStudyMetadata({ studyInstanceUID: '1.2.3.4.5.6.7' }), e => e.status === 404);
console.log(`${instances.length} instances in ${series.length} series`);
