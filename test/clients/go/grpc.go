package main

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// asIs sends bytes as they are: the service of the test knows no protocol buffers.
type asIs struct{}

func (asIs) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }
func (asIs) Unmarshal(bytes []byte, value any) error {
	*value.(*[]byte) = append([]byte{}, bytes...)
	return nil
}
func (asIs) Name() string { return "bytes" }

type call struct {
	Code    int
	Details string
	Replies []string
	Header  string
	Trailer string
}

func ended(result call, err error, header, trailer metadata.MD) call {
	state := status.Convert(err)
	result.Code, result.Details = int(state.Code()), state.Message()
	if values := header.Get("x-echo"); len(values) > 0 {
		result.Header = values[0]
	}
	if values := trailer.Get("x-echo"); len(values) > 0 {
		result.Trailer = values[0]
	}
	return result
}

func unary(connection *grpc.ClientConn, ctx context.Context, method, text string) call {
	var header, trailer metadata.MD
	request, reply := []byte(text), []byte{}
	err := connection.Invoke(ctx, "/test.Echo/"+method, &request, &reply, grpc.Header(&header), grpc.Trailer(&trailer))
	result := call{}
	if err == nil {
		result.Replies = []string{string(reply)}
	}
	return ended(result, err, header, trailer)
}

func stream(connection *grpc.ClientConn, ctx context.Context, method string, texts ...string) call {
	description := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	streaming, err := connection.NewStream(ctx, description, "/test.Echo/"+method)
	if err != nil {
		return ended(call{}, err, nil, nil)
	}
	for _, text := range texts {
		request := []byte(text)
		streaming.SendMsg(&request)
	}
	streaming.CloseSend()
	result := call{}
	for {
		reply := []byte{}
		if err = streaming.RecvMsg(&reply); err != nil {
			break
		}
		result.Replies = append(result.Replies, string(reply))
	}
	if err == io.EOF {
		err = nil
	}
	header, _ := streaming.Header()
	return ended(result, err, header, streaming.Trailer())
}

func callGRPC() map[string]any {
	transport := grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(nil, ""))
	connection, err := grpc.NewClient("grpc.test:443", transport, grpc.WithDefaultCallOptions(grpc.ForceCodec(asIs{})))
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-own", "kept")
	return map[string]any{
		"unary":  unary(connection, ctx, "Unary", "hello"),
		"failed": unary(connection, ctx, "Fails", "x"),
		"denied": unary(connection, ctx, "Forbidden", "x"),
		"down":   stream(connection, ctx, "Down", "3"),
		"up":     stream(connection, ctx, "Up", "one", "two", "three"),
		"both":   stream(connection, ctx, "Both", "a", "b", "c"),
	}
}
