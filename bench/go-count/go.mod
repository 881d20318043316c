module go-count

go 1.21
