module countersign.test/go-reader

go 1.22
