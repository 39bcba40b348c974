// SPDX-License-Identifier: Apache-2.0

package host

import (
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/procfs/nfs"

	"tallyman"
)

var (
	nfsPackets     = counter("node_nfs_packets_total", "", "Packets of the NFS client, sent and received")
	nfsConnections = counter("node_nfs_connections_total", "", "TCP connections of the NFS client")
	nfsCalls       = counter("node_nfs_rpcs_total", "", "Calls of the NFS client")
	nfsAgain       = counter("node_nfs_rpc_retransmissions_total", "", "Calls of the NFS client that were sent again")
	nfsRefreshes   = counter("node_nfs_rpc_authentication_refreshes_total", "", "How often the NFS client renewed its authentication")
	nfsRequests    = counter("node_nfs_requests_total", "", "Requests of the NFS client")

	nfsdCacheHits   = counter("node_nfsd_reply_cache_hits_total", "", "Answers of the NFS server that were given before")
	nfsdCacheMisses = counter("node_nfsd_reply_cache_misses_total", "", "Answers of the NFS server that were not given before")
	nfsdNoCache     = counter("node_nfsd_reply_cache_nocache_total", "", "Answers of the NFS server that are not remembered")
	nfsdStale       = counter("node_nfsd_file_handles_stale_total", "", "File handles of the NFS server that were out of date")
	nfsdRead        = counter("node_nfsd_disk_bytes_read_total", "bytes", "Bytes that the NFS server has read")
	nfsdWritten     = counter("node_nfsd_disk_bytes_written_total", "bytes", "Bytes that the NFS server has written")
	nfsdThreads     = gauge("node_nfsd_server_threads", "", "Threads of the NFS server")
	nfsdAhead       = gauge("node_nfsd_read_ahead_cache_size_blocks", "", "Size of the cache for reading ahead of the NFS server, in blocks")
	nfsdNotFound    = counter("node_nfsd_read_ahead_cache_not_found_total", "", "What the cache for reading ahead of the NFS server had not")
	nfsdPackets     = counter("node_nfsd_packets_total", "", "Packets of the NFS server, sent and received")
	nfsdConnections = counter("node_nfsd_connections_total", "", "TCP connections of the NFS server")
	nfsdErrors      = counter("node_nfsd_rpc_errors_total", "", "Calls that the NFS server refused, by their fault")
	nfsdCalls       = counter("node_nfsd_server_rpcs_total", "", "Calls that the NFS server has had")
	nfsdRequests    = counter("node_nfsd_requests_total", "", "Requests that the NFS server has had")
)

// idle are methods of the server that node_exporter leaves out: they do nothing.
var idle = []string{"Null", "Op0Unused", "Op1Unused", "Op2Future", "PutPubFH", "PutRootFH"}

// addMethods adds the fields of a struct of the library, each of which is a method, but
// for some.
func addMethods(to *sink, d *tallyman.Desc, proto string, stats any, without ...string) {
	v := reflect.ValueOf(stats)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).CanUint() && !slices.Contains(without, name) {
			to.Add(d, float64(v.Field(i).Uint()), "proto", proto, "method", name)
		}
	}
}

var nfsCollector = collector{
	name: "nfs", what: "NFS client", every: 10 * time.Second, aside: true,
	descs: []*tallyman.Desc{nfsPackets, nfsConnections, nfsCalls, nfsAgain, nfsRefreshes, nfsRequests},
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.o.Init == "" {
				return errNoInit
			}
			f, err := nfs.NewFS(s.o.Init)
			if err != nil {
				return err
			}
			c, err := f.ClientRPCStats()
			if err != nil {
				return missing(err, "The host has no NFS mounted.")
			}
			to.Add(nfsPackets, float64(c.Network.UDPCount), "protocol", "udp")
			to.Add(nfsPackets, float64(c.Network.TCPCount), "protocol", "tcp")
			to.Add(nfsConnections, float64(c.Network.TCPConnect))
			to.Add(nfsCalls, float64(c.ClientRPC.RPCCount))
			to.Add(nfsAgain, float64(c.ClientRPC.Retransmissions))
			to.Add(nfsRefreshes, float64(c.ClientRPC.AuthRefreshes))
			addMethods(to, nfsRequests, "2", c.V2Stats)
			addMethods(to, nfsRequests, "3", c.V3Stats)
			addMethods(to, nfsRequests, "4", c.ClientV4Stats)
			return nil
		}
	},
}

var nfsdCollector = collector{
	name: "nfsd", what: "NFS server", every: 10 * time.Second, aside: true,
	descs: []*tallyman.Desc{nfsdCacheHits, nfsdCacheMisses, nfsdNoCache, nfsdStale, nfsdRead, nfsdWritten, nfsdThreads, nfsdAhead, nfsdNotFound, nfsdPackets, nfsdConnections,
		nfsdErrors, nfsdCalls, nfsdRequests},
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.o.Init == "" {
				return errNoInit
			}
			f, err := nfs.NewFS(s.o.Init)
			if err != nil {
				return err
			}
			c, err := f.ServerRPCStats()
			if err != nil {
				return missing(err, "The host is no NFS server.")
			}
			to.Add(nfsdCacheHits, float64(c.ReplyCache.Hits))
			to.Add(nfsdCacheMisses, float64(c.ReplyCache.Misses))
			to.Add(nfsdNoCache, float64(c.ReplyCache.NoCache))
			to.Add(nfsdStale, float64(c.FileHandles.Stale))
			to.Add(nfsdRead, float64(c.InputOutput.Read))
			to.Add(nfsdWritten, float64(c.InputOutput.Write))
			to.Add(nfsdThreads, float64(c.Threads.Threads))
			to.Add(nfsdAhead, float64(c.ReadAheadCache.CacheSize))
			to.Add(nfsdNotFound, float64(c.ReadAheadCache.NotFound))
			to.Add(nfsdPackets, float64(c.Network.UDPCount), "proto", "udp")
			to.Add(nfsdPackets, float64(c.Network.TCPCount), "proto", "tcp")
			to.Add(nfsdConnections, float64(c.Network.TCPConnect))
			to.Add(nfsdErrors, float64(c.ServerRPC.BadFmt), "error", "fmt")
			to.Add(nfsdErrors, float64(c.ServerRPC.BadAuth), "error", "auth")
			to.Add(nfsdErrors, float64(c.ServerRPC.BadcInt), "error", "cInt")
			to.Add(nfsdCalls, float64(c.ServerRPC.RPCCount))
			addMethods(to, nfsdRequests, "2", c.V2Stats, idle...)
			addMethods(to, nfsdRequests, "3", c.V3Stats, idle...)
			addMethods(to, nfsdRequests, "4", c.V4Ops, idle...)
			to.Add(nfsdRequests, float64(c.WdelegGetattr), "proto", "4", "method", "WdelegGetattr")
			return nil
		}
	},
}
