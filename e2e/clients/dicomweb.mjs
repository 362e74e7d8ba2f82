// Plays a viewer with dicomweb-client: node dicomweb.mjs URL FILE... stores the files, finds them, and
// retrieves them in every way that the client knows. It ends with 0 when all is as a viewer needs it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { frames } from './pixels.mjs';

const require = createRequire(import.meta.url);
globalThis.XMLHttpRequest = require('xhr2'); // the client is made for browsers
const { api } = require('dicomweb-client');

const [url, ...paths] = process.argv.slice(2);
const files = await Promise.all(paths.map(path => readFile(path)));
const client = new api.DICOMwebClient({ url, singlepart: '' });
const single = new api.DICOMwebClient({ url, singlepart: 'bulkdata' });
const tag = (result, t) => result[t]?.Value?.[0];
const same = (got, want, what) => assert.ok(Buffer.from(got).equals(want), `${what} came back with other bytes`);
const begins = (got, bytes, what) => assert.equal(Buffer.from([got].flat()[0]).subarray(0, bytes.length).toString('latin1'), bytes, what);
const JPEG = '\xff\xd8\xff', PNG = '\x89PNG', GIF = 'GIF8', PDF = '%PDF-';
const as = mediaType => ({ mediaTypes: [{ mediaType }] });
const status = async (promise, want) => assert.rejects(promise, e => e.status === want, `not refused with ${want}`);

await client.storeInstances({ datasets: files.map(f => f.buffer.slice(f.byteOffset, f.byteOffset + f.length)) });

// All objects are of one patient, whose name says that it is in Chinese.
const studies = await client.searchForStudies({ queryParams: { limit: 10 } });
const name = studies[0]['00100010'].Value[0];
assert.match(name.Ideographic, /^\p{Script=Han}+\^\p{Script=Han}+$/u);
for (const PatientName of [name.Ideographic, name.Ideographic[0] + '*', '*' + name.Ideographic.at(-1), name.Alphabetic.slice(0, 3) + '*', name.Alphabetic.toLowerCase()]) {
  const found = await client.searchForStudies({ queryParams: { PatientName, includefield: '00081030', fuzzymatching: false } });
  assert.equal(found.length, studies.length, `studies of ${PatientName}`);
  assert.deepEqual(found[0]['00100010'].Value[0], name);
}
assert.deepEqual(await client.searchForStudies({ queryParams: { PatientName: '无人' } }), []);
assert.equal(studies.reduce((n, s) => n + tag(s, '00201208'), 0), files.length, 'Number of Study Related Instances');
assert.equal((await client.searchForInstances({ queryParams: { PatientName: name.Ideographic, limit: 1000 } })).length, files.length, 'instances of all studies');

let instances = 0, framed = 0;
const wholeSeries = new Set();
for (const s of studies) {
  const studyInstanceUID = tag(s, '0020000D');
  const series = await client.searchForSeries({ studyInstanceUID });
  const list = await client.searchForInstances({ studyInstanceUID });
  assert.equal(list.length, tag(s, '00201208'), 'all instances');
  assert.equal(new Set(list.map(i => tag(i, '0020000E'))).size, series.length, 'all series');
  const every = await client.retrieveStudyMetadata({ studyInstanceUID });
  assert.equal(every.length, list.length, 'metadata of the study');

  const ofStudy = [];
  for (const one of series) {
    const seriesInstanceUID = tag(one, '0020000E');
    wholeSeries.add(seriesInstanceUID);
    const metadata = await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID });
    assert.equal(metadata.length, tag(one, '00201209'), 'metadata of the series');
    assert.equal((await client.searchForInstances({ studyInstanceUID, seriesInstanceUID })).length, metadata.length, 'instances of the series');
    const ofSeries = [];
    for (const m of metadata) {
      ofSeries.push(await readInstance({ studyInstanceUID, seriesInstanceUID, sopInstanceUID: tag(m, '00080018') }, m, every));
      instances++;
    }
    equalSets(await client.retrieveSeries({ studyInstanceUID, seriesInstanceUID }), ofSeries, 'the series');
    ofStudy.push(...ofSeries);
  }
  equalSets(await client.retrieveStudy({ studyInstanceUID }), ofStudy, 'the study');
}
assert.equal(instances, files.length);
assert.ok(framed > 0, 'frames were compared');

const nobody = { studyInstanceUID: '1.2.3.4.5.6.7', seriesInstanceUID: '1.2.3', sopInstanceUID: '1.2.4' };
for (const call of ['retrieveStudyMetadata', 'retrieveSeriesMetadata', 'retrieveInstanceMetadata', 'retrieveStudy', 'retrieveSeries', 'retrieveInstance', 'retrieveInstanceRendered', 'retrieveInstanceThumbnail']) {
  await status(client[call](nobody), 404);
}
console.log(`${instances} instances in ${wholeSeries.size} series, ${framed} frames`);

// readInstance retrieves one instance as the client can, and returns the file that was sent.
async function readInstance(where, m, every) {
  const want = files.find(f => f.includes(where.sopInstanceUID));
  assert.ok(want, 'metadata of an instance that was sent');
  assert.deepEqual(m['00100010'].Value[0], name);
  const [own] = await client.retrieveInstanceMetadata(where).then(v => [v].flat());
  assert.deepEqual(own, m, 'metadata of the instance and of its series');
  assert.deepEqual(every.find(e => tag(e, '00080018') === where.sopInstanceUID), m, 'metadata of the study and of the series');

  same(await client.retrieveInstance(where), want, 'the instance');
  const syntax = tag(m, '00083002');
  const path = `${url}/studies/${where.studyInstanceUID}/series/${where.seriesInstanceUID}/instances/${where.sopInstanceUID}`;
  for (const [asked, answer] of [[syntax, 200], ['1.2.840.10008.1.2.4.90', 406]]) { // the client itself cannot name a syntax here
    const { status } = await fetch(path, { headers: { Accept: `multipart/related; type="application/dicom"; transfer-syntax=${asked}` } });
    assert.equal(status, answer, `the instance in ${asked}`);
  }
  const uri = await fetch(client.buildInstanceWadoURIUrl(where));
  assert.equal(uri.status, 200, 'WADO-URI');
  same(await uri.arrayBuffer(), want, 'the instance by WADO-URI');

  for (const [path, BulkDataURI] of bulk(m)) {
    const at = { BulkDataURI: new URL(BulkDataURI, url + '/').href };
    const [parts] = await client.retrieveBulkData(at);
    const [alone] = await single.retrieveBulkData(at).then(v => [v].flat());
    same(alone, Buffer.from(parts), `bulk data ${path} alone and in a part`);
    assert.ok(parts.byteLength > 0 && want.includes(Buffer.from(parts)), `bulk data ${path} is not in the file`);
    const [ranged] = await client.retrieveBulkData({ ...at, byteRange: [0, 9] });
    assert.ok(Buffer.from(parts).subarray(0, ranged.byteLength).equals(Buffer.from(ranged)), `a range of bulk data ${path}`);
  }
  const pdf = async () => (await fetch(path + '/rendered', { headers: { Accept: 'application/pdf' } })).arrayBuffer(); // nor any application type
  if (tag(m, '00420012') === 'application/pdf') {
    begins(await pdf(), PDF, 'the document, rendered');
    return want;
  }
  if (m['54000100']) { // a recording is drawn
    begins(await pdf(), PDF, 'the recording as PDF');
    begins(await client.retrieveInstanceRendered({ ...where, ...as('image/png') }), PNG, 'the recording as PNG');
    begins(await client.retrieveInstanceThumbnail({ ...where, ...as('image/jpeg') }), JPEG, 'thumbnail of the recording');
    return want;
  }
  const pictures = frames(want);
  const n = Number(tag(m, '00280008') ?? 1);
  assert.equal(pictures.length, n, 'frames of the file');
  const numbers = pictures.map((_, i) => i + 1);
  const encapsulated = syntax === '1.2.840.10008.1.2.4.50';
  const bytes = [{ mediaType: 'application/octet-stream', transferSyntaxUID: '*' }];
  for (const asked of [{}, { mediaTypes: bytes }, ...(encapsulated ? [{ mediaTypes: [{ mediaType: 'image/jpeg', transferSyntaxUID: syntax }] }] : [])]) {
    for (const frameNumbers of [[1], numbers, [n, 1].slice(0, n)]) {
      const got = await client.retrieveInstanceFrames({ ...where, frameNumbers, ...asked });
      assert.equal(got.length, frameNumbers.length, 'as many frames as asked for');
      frameNumbers.forEach((number, i) => same(got[i], pictures[number - 1], `frame ${number}`));
      framed += got.length;
    }
  }
  await status(client.retrieveInstanceFrames({ ...where, frameNumbers: [n + 1] }), 404);
  await status(client.retrieveInstanceFrames({ ...where, frameNumbers: [0] }), 400);

  const view = { viewport: '48,48', window: '120,200,linear', quality: 60 };
  if (m['00280002'].Value[0] === 3) {
    delete view.window; // colours have none
  }
  begins(await client.retrieveInstanceRendered(where), JPEG, 'rendered');
  begins(await client.retrieveInstanceRendered({ ...where, queryParams: view }), JPEG, 'rendered in a window');
  for (const [mediaType, magic] of [['image/jpeg', JPEG], ['image/png', PNG], ['image/gif', GIF]]) {
    const asked = { ...where, ...as(mediaType) };
    begins(await client.retrieveInstanceRendered(asked), magic, `rendered as ${mediaType}`);
    begins(await client.retrieveInstanceThumbnail({ ...asked, queryParams: { viewport: '40,40' } }), magic, `thumbnail as ${mediaType}`);
    begins(await client.retrieveInstanceFramesRendered({ ...asked, frameNumbers: [n], queryParams: view }), magic, `frame ${n} as ${mediaType}`);
    begins(await client.retrieveInstanceFramesThumbnail({ ...asked, frameNumbers: [n] }), magic, `thumbnail of frame ${n} as ${mediaType}`);
  }
  begins(await client.retrieveInstanceThumbnail(where), JPEG, 'thumbnail');
  return want;
}

// bulk yields path and URI of each bulk value, those of items too.
function* bulk(set, path = '') {
  for (const [t, { BulkDataURI, vr, Value }] of Object.entries(set)) {
    if (BulkDataURI) yield [path + t, BulkDataURI];
    if (vr === 'SQ') for (const [i, item] of (Value ?? []).entries()) yield* bulk(item, `${path}${t}/${i}/`);
  }
}

function equalSets(got, want, what) {
  const sorted = list => list.map(b => Buffer.from(b)).sort(Buffer.compare);
  assert.equal(got.length, want.length, `instances of ${what}`);
  const [a, b] = [sorted(got), sorted(want)];
  a.forEach((file, i) => assert.ok(file.equals(b[i]), `${what} came back with other bytes`));
}
