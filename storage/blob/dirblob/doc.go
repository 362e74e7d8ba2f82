// Package dirblob keeps blobs in a local folder, every byte durable before Commit returns.
//
// A blob larger than Options.SmallBytes is a file of its own: streamed to tmp/, synced, renamed into its
// day's folder, the folder synced. Smaller ones are records in a pack, a file that only grows: whoever
// commits while a sync is running joins the next one, so that many blobs share one write and one sync.
//
//	DIR/LOCK              held while a Store is open
//	DIR/FORMAT            version of this layout
//	DIR/tmp/              blobs not yet committed; emptied by Open
//	DIR/active/           an empty file for every pack that was not closed properly; read by Open
//	DIR/2026/11/22/ID.f   one large blob
//	DIR/2026/11/22/ID.p   a pack
//
// A key says where a blob lies ("2026/11/22/ID.f", "2026/11/22/ID.p/OFFSET-LENGTH"), so there is no index
// to load or to lose. Header.go draws the bytes. Days are UTC.
//
// What a power cut leaves behind: files in tmp, which Open deletes, and the last batch of the last pack,
// of which Open keeps the records that are whole. Those were not acknowledged, but they are blobs like
// any other, and List shows them.
package dirblob
