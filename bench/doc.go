// Command bench measures a node beside what the machine can do and beside other servers, in one run, and
// prints one table with the ratios.
//
// Every server is a child process with a folder of its own: our node; the null intakes, which stream each
// object to a file, hash it and make it durable, and do nothing else; DCMTK's storescp and Orthanc where
// they are installed. They get the same objects from the same clients one after the other. docs/benchmarks.md
// says what each line means.
package main
